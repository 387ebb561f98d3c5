export { ConfigError } from "./config-error.js";
export { type HaulConfig, readConfig } from "./read-config.js";
export { type ConfigWatchOptions, watchConfig } from "./watch-config.js";
