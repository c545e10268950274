import { drawer, drawsOf } from "../../processor/sanitise/testdata/samples.ts";

/**
 * Prompts as people write and paste them, the same for the same seed: prose in many languages with numbers and dates,
 * code, logs, tables, lists and mails, of 50 B to 4 KB, one in eight of them with something personal.
 */
export function promptsOf(seed: number, count: number): string[] {
  const next = drawer(seed);
  const below = (limit: number) => Math.floor(next() * limit);
  const pick = <T>(from: readonly T[]): T => from[below(from.length)]!;
  const keys = drawsOf(next);
  const pad = (value: number) => String(value).padStart(2, "0");

  const slots: Readonly<Record<string, () => string>> = {
    n: () => String(below(10 ** (1 + below(4)))),
    big: () => `${1 + below(900)},${String(below(1000)).padStart(3, "0")}`,
    money: () => `$${1 + below(9000)}.${pad(below(100))}`,
    pct: () => `${below(100)}.${below(10)} %`,
    date: () => `${2015 + below(12)}-${pad(1 + below(12))}-${pad(1 + below(28))}`,
    day: () => `${1 + below(28)}/${1 + below(12)}/${2015 + below(12)}`,
    time: () => `${pad(below(24))}:${pad(below(60))}`,
    stamp: () => slots.date!() + `T${slots.time!()}:${pad(below(60))}.${below(1000)}Z`,
    version: () => `${below(20)}.${below(30)}.${below(10)}`,
    sha: () => keys.hex(40),
    uuid: () => [8, 4, 4, 4, 12].map((length) => keys.hex(length)).join("-"),
    id: () => String(1e9 + below(9e9)),
    order: () => `${pick(["PO", "INV", "ORD-", "#", "REF "])}${1e5 + below(9e6)}`,
    hash: () => keys.hex(8),
    name: () => pick("Tom Jane Maria Ahmed Yuki Priya Lukas Chloe Diego Fatima Olga Wei".split(" ")),
    topic: () =>
      pick(
        ("photosynthesis|the French Revolution|TCP congestion control|compound interest|sourdough bread|a trip to Lisbon|" +
          "gradient descent|our quarterly review|React hooks|unit economics|Kafka consumer groups|climate change|a chess opening|" +
          "tax deductions|the water cycle|object-oriented design|my garden|remote work|user onboarding|a haunted house")
          .split(
            "|",
          ),
      ),
    email: () => `${slots.name!().toLowerCase()}.${keys.of("abcdefghijkl", 6)}@${pick(MAIL_HOSTS)}`,
    phone: () => pick([`+1 415 555 01${pad(below(100))}`, `(212) 555-${1000 + below(9000)}`]),
    ip: () => `203.0.113.${below(256)}`,
  };
  const fill = (text: string) => text.replace(/\{(\w+)\}/g, (whole, slot) => slots[slot]?.() ?? whole);

  const prompt = () => {
    const size = Math.round(50 * 80 ** (next() * next() * 1.15));
    const [questions, prose] = next() < 0.8 ? [QUESTIONS, PROSE] : [FOREIGN_QUESTIONS, FOREIGN_PROSE];
    const parts = [pick(questions)];
    const source = next() < 0.6 ? prose : pick(PASTED);
    while (parts.join("\n").length < size) parts.push(pick(next() < 0.3 ? prose : source));
    if (next() < 0.125) parts.splice(below(parts.length + 1), 0, pick(PERSONAL));
    const joint = source === prose ? pick([" ", "\n\n"]) : "\n";
    return fill(parts.join(joint)).slice(0, 4096);
  };
  return Array.from({ length: count }, prompt);
}

const MAIL_HOSTS = ["example.com", "mail.example.org", "acme.example", "gmail.com"];

const QUESTIONS: readonly string[] = [
  "Explain {topic} to a {n} year old, with three examples from everyday life.",
  "Write a marketing email for new users of our analytics product, under {n} words, about {topic}.",
  "Summarise the following in {n} bullet points:",
  "What is the difference between {topic} and {topic}?",
  "Why does this fail since version {version}?",
  "hey can you help me with {topic}?? i have no idea where to start",
  "Rewrite this so that it sounds more professional and less passive aggressive.",
  "Translate the text below into French and keep the Markdown as it is:",
  "Fix this code, it returns NaN for empty input:",
  "Plan a week of meals for {n} people with a budget of {money}.",
  "Act as a senior engineer and review the pull request below. Be concise, list at most {n} problems.",
  "You are a helpful assistant. The user's session started at {stamp}. Answer only from the context given.",
];

const FOREIGN_QUESTIONS: readonly string[] = [
  "Schreibe eine höfliche Antwort auf diese Beschwerde, höchstens {n} Wörter:",
  "Résume ce texte en {n} phrases et propose un titre accrocheur.",
  "¿Puedes explicarme {topic} con ejemplos sencillos?",
  "Escreva um texto de {n} palavras sobre {topic}.",
  "请用简单的语言解释一下{topic}，并给出{n}个例子。",
  "次の文章を{n}文字以内で要約してください。",
  "다음 코드를 설명해 주세요.",
  "Объясни, пожалуйста, что такое {topic}, простыми словами.",
  "اشرح لي {topic} بطريقة بسيطة.",
];

const PROSE: readonly string[] = [
  "The team agreed to move the launch to September, because the budget for Q3 ({big} USD) was only approved on {date}.",
  "{name} will deliver the plan by {day}, and {name} asked whether we could reuse what was written for {topic}.",
  "In {n} percent of the cases the answer arrives within {n} seconds; the rest takes up to {n} minutes, which nobody likes.",
  "It was a bright cold day in April, and the clocks were striking thirteen. He walked quickly through the glass doors.",
  "Our revenue grew from {money} to {money} per month, a rise of {pct}, while churn fell to {pct} in {date}.",
  "I've been thinking about this for a while, and I don't really know how to say it; maybe you've got an idea?",
  "According to a study of {big} participants published in 2019, sleep has a larger effect than diet (p < 0.0{n}).",
  "Chapter {n}. The key to success, she said, is not talent but patience: pass the test, author your own story.",
  "Please note that the meeting takes place in room {n} at {time}, not at {time} as announced last week.",
  "The model was trained for {n} epochs with a learning rate of 3e-4 and a batch size of {n} on 8 GPUs.",
  "She had never been good at goodbyes, so she left the letter on the kitchen table and closed the door as quietly as she could.",
  "The main argument of the essay is that institutions outlive the people who build them, and that this is both a strength and a danger.",
  "First, make sure the container is running and that the port is not already in use; then open the dashboard and create a new project.",
  "Customers like the new layout, but many of them could not find the export button, which used to be in the top right corner of the page.",
  "A function is pure if it always returns the same output for the same input and has no side effects. Give an example and a counterexample.",
  "Once upon a time there was a small village at the edge of a dark forest, where nobody had ever seen the sea.",
  "I want the tone to be warm but not too informal, and please avoid buzzwords, exclamation marks and rhetorical questions.",
  "On the other hand, inflation expectations remain anchored, which suggests that the central bank's communication is working as intended.",
  "The recipe calls for butter, but olive oil works just as well; the dough should rest until it has doubled in size.",
  "It isn’t clear whether the author means this literally — the second paragraph says the opposite — so please point out the “contradiction”.",
];

const FOREIGN_PROSE: readonly string[] = [
  "Die Lieferung kam drei Tage zu spät, und das Gehäuse hatte einen Kratzer. Bestellt hatte ich am {day} für {n} Euro.",
  "Le service était correct, mais la chambre {n} donnait sur la rue et nous n'avons presque pas dormi.",
  "El proyecto comenzó en {date} y tiene un presupuesto de {big} euros; faltan todavía {n} tareas.",
  "这个项目从{date}开始，预算是{n}万元，目前已经完成了{pct}。我们需要在月底之前提交报告。",
  "昨日は{n}時に起きて、駅まで歩きました。天気がとても良かったので、写真をたくさん撮りました。",
  "Мы начали этот проект в {date}, бюджет составил {n} тысяч рублей, и работа ещё не закончена.",
];

const CODE: readonly string[] = [
  "```ts\nexport function sum(values: number[]): number {\n  let total = 0;\n  for (const value of values) total += value;\n  return total;\n}\n```",
  'const token = await getToken(session);\nif (!token) throw new Error("no token");\nreturn fetch(`${BASE_URL}/v1/items/{n}`, { headers: { authorization: `Bearer ${token}` } });',
  "def load(path: str, key: str = None) -> pd.DataFrame:\n    df = pd.read_csv(path, sep=';', parse_dates=['created_at'])\n    return df[df['key'] == key].sort_values('price', ascending=False).head({n})",
  "SELECT u.id, COUNT(*) AS orders, SUM(o.total) FROM users u JOIN orders o ON o.user_id = u.id WHERE o.created_at > '{date}' GROUP BY u.id HAVING COUNT(*) > {n};",
  'import { useEffect, useState } from "react";\nexport default function Login({ onSubmit }) {\n  const [password, setPassword] = useState("");\n  return <input type="password" value={password} onChange={(e) => setPassword(e.target.value)} />;\n}',
  "public class Node<T> {\n    private final Map<String, List<T>> children = new HashMap<>();\n    public int size() { return children.values().stream().mapToInt(List::size).sum(); }\n}",
  '{"id": {id}, "uuid": "{uuid}", "status": "active", "created_at": "{stamp}", "tags": ["a", "b"], "price": {n}.99}',
  'services:\n  web:\n    image: nginx:{version}\n    ports:\n      - "8080:80"\n    environment:\n      - LOG_LEVEL=debug\n      - API_KEY=${API_KEY}',
  ".card { display: flex; padding: {n}px 1.5rem; background: #{hash}; border-radius: 12px; transition: all 0.3s ease-in-out; }",
  'for i in range({n}):\n    print(f"{i:>4} {math.sqrt(i):.3f}")\n    if i % 7 == 0 and not done: continue',
  "npm install --save-dev vitest@{version} typescript@{version} && git commit -m 'bump' && git push origin main",
];
const LOGS: readonly string[] = [
  "{stamp} INFO  [worker-{n}] processed {n} messages in {n} ms (offset={id}, partition={n})",
  "{date} {time}:{n} ERROR o.a.k.clients.NetworkClient - [Producer clientId=producer-1] Connection to node -1 (localhost/127.0.0.1:9092) could not be established.",
  '192.168.1.{n} - - [12/May/2024:{time}:07 +0000] "GET /api/v1/items/{n}?page=2 HTTP/1.1" 200 {n} "-" "Mozilla/5.0 (X11; Linux x86_64)"',
  "    at Object.<anonymous> (/srv/app/node_modules/express/lib/router/layer.js:{n}:5)",
  'File "/usr/lib/python3.11/site-packages/torch/nn/modules/module.py", line {n}, in _call_impl',
  "commit {sha}\nDate:   Mon May 12 {time}:11 2024 +0200",
  "TypeError: Cannot read properties of undefined (reading 'map')",
  "[{n}.{n}] usb 1-{n}: new high-speed USB device number {n} using xhci_hcd",
];
const LISTS: readonly string[] = [
  "- [ ] check the {topic} of order {order} before {date}",
  "{n}. Add {n} g of flour, {n} ml of water and a pinch of salt; knead for {n} minutes.",
  "| {name} | {date} | {n} | {money} | {pct} |",
  "{id};{date};{name};{n},5;open",
  "* **{topic}**: see [the docs](https://docs.example.com/guide/{hash}/intro?page={n}#part-{n})",
  "## {n}. About {topic}\n",
  "Q: What did {name} say about {topic}?\nA: Nothing so far.",
];
const MAILS: readonly string[] = [
  "Hi {name},\n\nthanks for your message of {day}. I'll have a look at {order} and come back to you by {time}.",
  "Subject: Re: {topic} ({order})",
  "Best regards,\n{name}\nHead of Operations | Acme Ltd. | {n} Market Street, Springfield",
  "> On {date} at {time} {name} wrote:\n> > can we talk about {topic} tomorrow?",
];
const PASTED = [PROSE, PROSE, PROSE, CODE, LOGS, LISTS, MAILS] as const;

const PERSONAL: readonly string[] = [
  "Write to {email} or call {phone} and ask about the invoice.",
  "My name is {name} Miller and I live in Springfield; my number is {phone}.",
  "from {ip}:443 user={email} status=401",
  "DB_PASSWORD=hunter2{hash}!\nDB_HOST=db.internal",
  "Contact: {email}",
  "card 4111 1111 1111 1111 was charged {money} on {date}",
];
