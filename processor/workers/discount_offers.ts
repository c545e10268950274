import { runDiscountOffers } from "../offers/discount_offers.ts";
import { createLineIdsLater } from "../record/line_id_later.ts";
import { serveLoop } from "./run.ts";

serveLoop((deps) => runDiscountOffers({ ...deps, lineId: createLineIdsLater(deps.hashes.subject) }));
