import { z } from "zod";
import { configSchema } from "./schema.js";

/** The schema of the configuration file for editors, as JSON Schema. What must fit together is not in it. */
export function configJsonSchema(): string {
  const schema = z.toJSONSchema(configSchema, { target: "draft-7", io: "input" });
  return `${JSON.stringify({ title: "haul.yaml", ...schema }, undefined, 2)}\n`;
}
