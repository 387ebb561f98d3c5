// Writes docs/haul.schema.json anew: part of `npm run generate`.

import { writeFileSync } from "node:fs";
import { configJsonSchema } from "../../src/haul/config/json-schema.js";

writeFileSync(new URL("../../docs/haul.schema.json", import.meta.url), configJsonSchema());
