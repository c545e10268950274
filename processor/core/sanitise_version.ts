export const SANITISER_VERSION = "1";
