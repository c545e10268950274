import { idFromBody } from "../../contract/envelope.ts";
import { expect, test } from "vitest";
import { LOOKS_PER_CHARACTER_MAX } from "./counted_text.ts";
import { NO_KNOWN_VALUES, sanitise } from "./mod.ts";
import { looksOf } from "./testdata/search_growth.ts";

/** Prompts as people write them, full of numbers, words and code that have been taken for personal data elsewhere. */
const PROMPTS = [
  "Write a Python function that returns the first 20 Fibonacci numbers, e.g. 0, 1, 1, 2, 3, 5, 8, 13, 21, 34",
  'Explain what happens when I run "git rebase -i HEAD~3" on commit 3f786850e387550fdab836ed7e6dc881de23001b',
  "My name is not important. What is the capital of France?",
  "Convert 1755302400 to a date, then 2147483647 and 4294967295",
  "What is the password policy of ISO 27001? Passwords must be at least 12 characters",
  "Summarise RFC 7519 (JSON Web Token) and RFC 6749; compare token lifetimes of 3600 and 86400 seconds",
  'Translate: "Der Preis beträgt 1.299,00 EUR, Bestellnummer 4500123456"',
  "SELECT * FROM orders WHERE id IN (1002003004, 1002003005) AND created_at > '2024-05-12 10:30:00'",
  "Version 3.12.1 vs 3.13.0rc2: what changed? Chrome 120.0.6099.109",
  "The ISBN is 978-0-13-468599-1 and the DOI 10.1145/3292500.3330701",
  "Solve 3x + 4y = 12 and 7x - 2y = 1000000",
  "Use the color #3366ff and rgb(255, 255, 255)",
  "docker run -p 8080:80 -e POSTGRES_PASSWORD={DB_PASS} postgres:16.2",
  "kubectl get pods --namespace kube-system | grep coredns-5d78c9869d-abcde",
  "Call the function getUser(1234567) and return the number 8675309",
  "The population of Tokyo was 13,960,236 in 2021 and 14 047 594 in 2020",
  "Bitcoin rose to 67,123.45 USD on 12 March 2024 at 14:35:20",
  "Write a story about Alice, Bob and Dr. Watson who meet at 221B Baker Street",
  "How do I store an API key safely? Should I use environment variables or a secret manager like Vault 1.15?",
  'const token = req.headers.authorization?.split(" ")[1];',
  'import tokens from "./tokens/v2/index.js"; const secretKey = config.get("jwt.secret1");',
  "The key is to iterate over 10000 items: key = item_id_20240512",
  "uuid 019ad56c-5168-7457-bac6-82981da45fb3 and sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
  "Answer as multiple choice: (1) 10-20 (2) 100-2000 (3) 555-1234",
  "What does std::vector<std::pair<int,int>> mean? And Foo::bar(), a::b, dead::beef",
  "Temperature -40.5 to 123.456 degrees; coordinates 40.7128, -74.0060 and 51.5074 N, 0.1278 W",
  "Make a table of years 1990 1995 2000 2005 2010 2015 2020",
  "from 2019 to 2023, revenue grew from 1000000 to 2500000",
  "Play chess: e2e4 e7e5 g1f3 b8c6; score 1-0",
  "npm install react@18.2.0 zod@3.21.4 @types/node@20.1.0 -D",
  "The license plate is required. Driver license rules 2024",
  "Set max_tokens=4096, temperature=0.7, top_p=0.95, seed=1234567890",
  "Phone cases for iPhone 15 Pro Max, price 29.99, 1200 sold",
  "Design a phone app with 100000 users and 5 tabs",
  "Contact form with fields name, email and phone number (10 digits max)",
  "Please text me a summary in 200-300 words",
  "my number one priority in 2024 is learning Rust 1.75",
  "Write regex for phone numbers like ###-###-####",
  "Bank account opening steps: 1) visit 2) sign 3) deposit 5000 rupees",
  "Let x = 0x1F and y = 0xdeadbeef, mask 0xFFFFFFFF",
  "生成一份2024年第3季度的报告，字数不超过1000，预算为150000元",
  "電話サポートのFAQを10個作ってください",
  "Напиши текст на 1500 знаков про телефон Samsung S23 за 79990 рублей",
  "Écris un e-mail de 150 mots pour 2500 clients, référence 2024-0512-77",
  "Schreibe 5 Slogans für ein Handy für 199 Euro (Modell 2024)",
  "Cookie: session is required, auth=basic, key=value&x=1",
  "password reset email template with a {{reset_link}} and token {{token}}",
  "The equation E = mc^2 with c = 299792458 m/s",
  "ping 8.8.8.8 and 1.1.1.1, then 192.168.0.1 and 10.0.0.255/24",
  "M10.5 20.25L30 40.125C50.5 60.75 70.125 80.5 90 100Z",
  "Compare 4K 3840x2160 and 1920x1080 at 60 Hz",
  "3 1 4 1 5 9 2 6 5 3 5 8 9 7 9",
  "0 1 1 2 3 5 8 13 21 34 55 89 144 233 377",
  "Train on 012 345 678 901 samples? no",
  "Section 4.1.2.4 of the 5.10.2.1 specification",
];

test("no prompt takes a tenth of the looks that it may", () => {
  const most = Math.max(...PROMPTS.map((prompt) => looksOf(prompt, NO_KNOWN_VALUES) / prompt.length));
  expect(most).toBeLessThan(LOOKS_PER_CHARACTER_MAX / 10);
});

test.each(PROMPTS)("stays as it is: %s", (prompt) => {
  const { text, spans } = sanitise(prompt);
  expect(text).toBe(prompt);
  expect(spans).toEqual([]);
});

/**
 * 300,000 of them: one in some ten thousand once read as an IBAN, whose check digits a group of hex digits meets by
 * chance. Made of a counter's hash, so that a failing one is found again.
 */
test("no UUID is taken for anything else", () => {
  const altered: string[] = [];
  for (let n = 0; n < 300_000; n++) {
    const text = `prompt ${idFromBody(new TextEncoder().encode(String(n)))} failed`;
    if (sanitise(text).text !== text) altered.push(text);
  }
  expect(altered).toEqual([]);
  const found = "ba95ce31-1158-4df3-9018-6e564058ff0c";
  expect(sanitise(found).text).toBe(found);
  expect(sanitise("GB82-WEST-1234-5698-7654-32").text).toBe("<IBAN_CODE>");
});
