/** Endings that make `name@2x.png` a file and no mailbox, where the rest does not speak for one. */
export const FILE_EXTENSIONS: ReadonlySet<string> = new Set(
  ("png jpg jpeg gif svg webp avif ico bmp css scss less js mjs cjs jsx ts mts cts tsx json map html htm xml yaml " +
    "yml md txt py rb go rs java kt swift php sh lock tgz gz zip whl jar vue svelte woff woff2 ttf eot mp3 mp4 webm pdf")
    .split(" "),
);

/** Names of people that are words of a language too, or of a form: lower case, without accents, four letters and more. */
export const NAMES_AND_WORDS: ReadonlySet<string> = new Set((
  "will mark grace summer hope faith april june august rose lily iris violet daisy jade ruby pearl amber crystal " +
  "dawn autumn winter rich frank grant chase chance hunter mason cooper carter taylor tyler parker baker miller " +
  "smith cook king bishop dean earl duke prince page bill jack drew rusty sandy stormy melody harmony destiny " +
  "trinity angel heaven star olive ginger basil sage rosemary robin wren dale glen heath cliff forest river brook " +
  "lake ocean reed rocky stone wood woods field fields hill hills banks brown green white black gray grey gold " +
  "silver young long short little small good best love price knight power powers cash money sterling victor major " +
  "general miles trace ward wade gene lance penny wells bush ford english french german holland israel jordan china " +
  "india asia paris london austin dallas houston madison virginia carolina georgia dakota montana savannah florence " +
  "sydney adelaide chelsea brooklyn lincoln washington jackson case chip colt dash dusty wolf bear hawk bird lamb " +
  "swan crane drake finch griffin hart hunt harper justice liberty mercy merit patience prudence constance verity " +
  "honor honour temperance charity clarity felicity serenity bliss happy noble earnest blaze storm rain wind snow " +
  "frost sunny sunshine moon aurora walker porter turner fisher shepherd potter carpenter butler marshall sergeant " +
  "pope abbott monk church temple cross bell ball bond booker close cotton crown curry dear drive early east west " +
  "north south farmer fear first fish flowers free gates glass hall hand hands hardy head hood house keys kind lane " +
  "light lock lord lucky many marks moody more moss mount nail nurse oaks pack park parks parent peace pine plant " +
  "post pound rice rider ring rivers rock root rush sales sands savage sharp shields singer skinner spear spring " +
  "stark steel street strong sweet teach town trip true valentine wall waters watts weaver weeks winters wise worth " +
  "read reading stella cruz blanca leon ernst engel klein gross lang kurz schwarz weiss braun bauer koch richter " +
  "kaiser konig vogel fuchs berg stein sommer herbst pierre claire blanche petit grand noir blanc france noel marin " +
  "constant juste data guest store shop team support office home work private public model agent client buyer " +
  "seller owner editor writer camp dove hale buck bead beau bank base bass bays bean beck lark lamp lime mace mint " +
  "rust sail seal seed silk song soul swift vale wolfe walk wish wing harry jimmy norm chuck pasta gail gale robb " +
  "miss mister nova echo cody zion ever noon colby skip buddy junior"
).split(" "));
