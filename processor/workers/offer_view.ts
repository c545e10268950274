import { runOfferView } from "../offers/view.ts";
import { serveLoop } from "./run.ts";

serveLoop(runOfferView);
