/**
 * Changes whenever any text could come out differently: what follows the dash is a digest of the sanitiser's rules, its
 * sources without their names and imports, and its test says which one to write here after a change. Kept per file in
 * the dataset's manifest, so that it is known what an older line was sanitised by. (Unicode's tables are the runtime's:
 * another Deno may know newer characters.)
 */
export const SANITISER_VERSION = "1-4a3828efbe2c";
