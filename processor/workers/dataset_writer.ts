import { runDatasetMember } from "../dataset/member.ts";
import { serveLoop } from "./run.ts";

serveLoop(runDatasetMember);
