export { missingText } from "./config-text.js";
export { createAsker, type DetectedClient, type Detection, detectClients } from "./detect.js";
export { writeConfig } from "./write-config.js";
