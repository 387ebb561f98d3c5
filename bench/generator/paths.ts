export const REGISTER = "/pulse.v1.RegistryService/Register";
export const HEARTBEAT = "/pulse.v1.RegistryService/Heartbeat";
export const LIST = "/pulse.v1.DownloadClientService/ListDownloadClients";
export const WATCH = "/pulse.v1.DownloadClientService/WatchDownloadClients";

/** Of the references alone: each watch begins with this message, or all of them are sent it. */
export const SET_OPENING = "/bench.FanOut/SetOpening";
export const PUBLISH = "/bench.FanOut/Publish";
