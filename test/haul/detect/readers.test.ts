import { describe, expect, it } from "vitest";
import { ARIA2_READER } from "../../../src/haul/detect/readers/aria2.js";
import { DELUGE_READER } from "../../../src/haul/detect/readers/deluge.js";
import { NZBGET_READER } from "../../../src/haul/detect/readers/nzbget.js";
import { QBITTORRENT_READER } from "../../../src/haul/detect/readers/qbittorrent.js";
import { SABNZBD_READER } from "../../../src/haul/detect/readers/sabnzbd.js";
import { TRANSMISSION_READER } from "../../../src/haul/detect/readers/transmission.js";

const HOME = "/home/me";
/** As these files name what is elsewhere. */
const [MAIN_DIR, DEST_DIR, HOME_DIR] = ["MainDir", "DestDir", "HOME"].map((name) => `$\{${name}}`);
const READERS = [
  ARIA2_READER,
  DELUGE_READER,
  NZBGET_READER,
  QBITTORRENT_READER,
  SABNZBD_READER,
  TRANSMISSION_READER,
];

describe("qBittorrent.conf", () => {
  const read = (...lines: string[]) => QBITTORRENT_READER.read(lines.join("\n"), HOME);

  it("of qbittorrent-nox 4.5 that nobody has set up has its defaults", () => {
    const text = [
      "[BitTorrent]",
      "Session\\Port=10771",
      "Session\\QueueingSystemEnabled=true",
      "",
      "[LegalNotice]",
      "Accepted=true",
      "",
      "[Meta]",
      "MigrationVersion=4",
      "",
      "[Network]",
      "Cookies=@Invalid()",
      "",
      "[Preferences]",
      "WebUI\\Username=admin",
    ];
    expect(read(...text)).toEqual({
      url: "http://127.0.0.1:8080",
      username: "admin",
      isHashed: true,
    });
  });

  it("says where and as whom; the password is a hash", () => {
    expect(
      read(
        "[BitTorrent]",
        "Session\\DefaultSavePath=/data/torrents",
        "[Preferences]",
        "WebUI\\Address=*",
        "WebUI\\HTTPS\\Enabled=true",
        "WebUI\\Port=9443",
        "WebUI\\Username=me",
        'WebUI\\Password_PBKDF2="@ByteArray(c2FsdA==:aGFzaA==)"',
      ),
    ).toEqual({
      url: "https://127.0.0.1:9443",
      username: "me",
      isHashed: true,
      downloadDirectory: "/data/torrents",
    });
  });

  it("of versions before 4.4 has the directory elsewhere, and Qt's way to write letters", () => {
    const text = ["[Preferences]", 'Downloads\\SavePath="/data/\\xdc\\x62ung, \\x2603"'];
    expect(read(...text)?.downloadDirectory).toBe("/data/Übung, ☃");
  });

  it.each([
    ["192.168.1.5", "http://192.168.1.5:8080"],
    ["::", "http://127.0.0.1:8080"],
    ["::1", "http://[::1]:8080"],
    ["localhost", "http://127.0.0.1:8080"],
  ])("that listens at %s is asked there", (address, url) => {
    expect(read("[Preferences]", `WebUI\\Address=${address}`)?.url).toBe(url);
  });

  it("with the Web UI switched off is of no use", () => {
    expect(read("[Preferences]", "WebUI\\Enabled=false")).toBeUndefined();
  });
});

describe("settings.json of Transmission", () => {
  const read = (settings: object) =>
    TRANSMISSION_READER.read(JSON.stringify(settings, null, 4), HOME);
  const recorded = {
    "download-dir": "/home/me/Downloads",
    "rpc-authentication-required": true,
    "rpc-bind-address": "0.0.0.0",
    "rpc-enabled": true,
    "rpc-password": "{15d9eca2b8fed7c36d6ce44aae4860265994c2f6tYaGk2O/",
    "rpc-port": 9091,
    "rpc-url": "/transmission/",
    "rpc-username": "haul",
  };

  it("has the user, and a hash once it has been used", () => {
    expect(read(recorded)).toEqual({
      url: "http://127.0.0.1:9091",
      username: "haul",
      isHashed: true,
      downloadDirectory: "/home/me/Downloads",
    });
  });

  it("has the password until then", () => {
    const found = read({ ...recorded, "rpc-password": "pass word" });
    expect(found).toMatchObject({ secret: "pass word" });
    expect(found).not.toHaveProperty("isHashed");
  });

  it.each([false, 0])("asks nobody if it says so: %s", (required) => {
    expect(read({ ...recorded, "rpc-authentication-required": required })).toEqual({
      url: "http://127.0.0.1:9091",
      isOpen: true,
      downloadDirectory: "/home/me/Downloads",
    });
  });

  it("has a URL base only beyond /transmission", () => {
    expect(read({ ...recorded, "rpc-url": "/nas/transmission/" })?.url).toBe(
      "http://127.0.0.1:9091/nas",
    );
  });

  it("with RPC switched off is of no use", () => {
    expect(read({ ...recorded, "rpc-enabled": false })).toBeUndefined();
  });
});

describe("web.conf of Deluge", () => {
  const recorded = (more = "") => `{
    "file": 2,
    "format": 1
}{
    "base": "/",
    "https": false,
    "interface": "0.0.0.0",
    "port": 8112,${more}
    "pwd_salt": "c26ab3bbd8b137f99cd83c2c1c0963bcc1a35cad",
    "pwd_sha1": "2ce1a410bcdcc53064129b6d950f2e9fee4edc1e",
    "sessions": {},
    "theme": "gray"
}`;

  it("is two objects in a row; the password is a hash", () => {
    expect(DELUGE_READER.read(recorded(), HOME)).toEqual({
      url: "http://127.0.0.1:8112",
      isHashed: true,
    });
  });

  it("may have TLS and a URL base", () => {
    const more = '"https": true, "base": "/deluge/", "port": 8113,';
    expect(DELUGE_READER.read(recorded(more), HOME)?.url).toBe("https://127.0.0.1:8113/deluge");
  });
});

describe("sabnzbd.ini", () => {
  const read = (...lines: string[]) =>
    SABNZBD_READER.read(["__version__ = 19", "[misc]", ...lines].join("\n"), HOME);
  const recorded = [
    "host = 127.0.0.1",
    "port = 8085",
    'https_port = ""',
    'username = ""',
    "api_key = 0123456789abcdef0123456789abcdef",
    "nzb_key = fedcba9876543210fedcba9876543210",
    "enable_https = 0",
    "complete_dir = Downloads/complete",
    "url_base = /sabnzbd",
    "[servers]",
    "[[news.example]]",
    "host = news.example",
    "port = 563",
  ];

  it("has the API key, a URL base, and directories below the home of whoever runs it", () => {
    expect(read(...recorded)).toEqual({
      url: "http://127.0.0.1:8085/sabnzbd",
      secret: "0123456789abcdef0123456789abcdef",
      downloadDirectory: "/home/me/Downloads/complete",
    });
  });

  it("with TLS listens at a port of its own, or at the only one", () => {
    expect(read("api_key = k", "enable_https = 1", "port = 8080", "https_port = 9090")?.url).toBe(
      "https://127.0.0.1:9090/sabnzbd",
    );
    expect(read("api_key = k", "enable_https = 1", "port = 8081", 'https_port = ""')?.url).toBe(
      "https://127.0.0.1:8081/sabnzbd",
    );
  });

  it("may have no URL base, and quotes", () => {
    const found = read(
      'api_key = "k"',
      'url_base = ""',
      'host = "0.0.0.0"',
      'complete_dir = "/a b"',
    );
    expect(found).toEqual({
      url: "http://127.0.0.1:8080",
      secret: "k",
      downloadDirectory: "/a b",
    });
  });
});

describe("nzbget.conf", () => {
  const read = (...lines: string[]) => NZBGET_READER.read(lines.join("\n"), HOME);
  const recorded = [
    "# Root directory for all tasks.",
    "MainDir=~/nzb dl",
    `DestDir=${MAIN_DIR}/dst`,
    "# IP on which NZBGet server listens and which clients use to contact NZBGet.",
    "ControlIP=127.0.0.1",
    "ControlPort=6789",
    "ControlUsername=nzbget",
    "ControlPassword=pw=nzb#1",
    "SecureControl=no",
    "SecurePort=6791",
  ];

  it("has user and password, and directories made from others", () => {
    expect(read(...recorded)).toEqual({
      url: "http://127.0.0.1:6789",
      username: "nzbget",
      secret: "pw=nzb#1",
      downloadDirectory: "/home/me/nzb dl/dst",
    });
  });

  it("with TLS listens at another port", () => {
    expect(read(...recorded, "SecureControl=yes", "ControlIP=0.0.0.0")?.url).toBe(
      "https://127.0.0.1:6791",
    );
  });

  it("with an empty password asks nobody", () => {
    expect(read(...recorded, "ControlPassword=")).toMatchObject({ isOpen: true });
    expect(read(...recorded, "ControlPassword=")).not.toHaveProperty("secret");
  });

  it("does not run for ever where directories name each other", () => {
    const found = read(`MainDir=${DEST_DIR}`, `DestDir=${MAIN_DIR}/x`);
    expect(found).toMatchObject({ url: "http://127.0.0.1:6789" });
  });
});

describe("aria2.conf", () => {
  const read = (...lines: string[]) => ARIA2_READER.read(lines.join("\n"), HOME);

  it("has the RPC secret", () => {
    const text = ["# mine", "enable-rpc=true", "rpc-secret=pw-aria", `dir=${HOME_DIR}/aria`];
    expect(read(...text)).toEqual({
      url: "http://127.0.0.1:6800",
      secret: "pw-aria",
      downloadDirectory: "/home/me/aria",
    });
  });

  it("may have TLS, another port, and no secret", () => {
    expect(read("enable-rpc=true", "rpc-secure=true", "rpc-listen-port=6801")).toEqual({
      url: "https://127.0.0.1:6801",
      isOpen: true,
    });
  });

  it("without RPC is of no use", () => {
    expect(read("rpc-secret=x", "dir=/data")).toBeUndefined();
  });
});

describe("every reader", () => {
  it.each(READERS)("of $kind finds nothing in what is no such file", ({ kind, read }) => {
    const others = ["", "\0\0\0", "{", "[]", "null", "{}{}", '"text"', "a = b", "[misc]", "="];
    for (const text of others) {
      const found = read(text, undefined);
      // Any INI file may be that of a qBittorrent that nobody has set up: what answers decides.
      if (kind === "qbittorrent") expect(found?.url).toBe("http://127.0.0.1:8080");
      else if (kind === "transmission" && text === "{}{}") expect(found).toBeUndefined();
      else expect(found).toBeUndefined();
    }
  });

  it.each([
    [QBITTORRENT_READER, "[Preferences]\nWebUI\\Port=99999999"],
    [TRANSMISSION_READER, '{"rpc-port": "x"}'],
    [DELUGE_READER, '{"file":2}{"pwd_sha1":"x","port":"y"}'],
    [SABNZBD_READER, "[misc]\napi_key = k\nhost = a b c"],
    [NZBGET_READER, "ControlPort=-1"],
    [ARIA2_READER, "enable-rpc=true\nrpc-listen-port=none"],
  ])("finds no client at an address that is none", ({ read }, text) => {
    expect(read(text, HOME)).toBeUndefined();
  });

  it("knows no directory below a home that it does not know", () => {
    expect(NZBGET_READER.read(`MainDir=~/x\nDestDir=${MAIN_DIR}`, undefined)).toEqual({
      url: "http://127.0.0.1:6789",
    });
    expect(SABNZBD_READER.read("[misc]\napi_key = k\ncomplete_dir = x", undefined)).toEqual({
      url: "http://127.0.0.1:8080/sabnzbd",
      secret: "k",
    });
  });
});
