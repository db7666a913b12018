//! A container of a storage account, at an emulator of Azure's (azurite) that runs beside the tests; nothing where
//! there is none. `scripts/test-azure` starts one.

use std::fmt::Write;
use std::net::SocketAddr;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::http::{Client, Response};

/// Where the emulator is: `127.0.0.1:10000`.
const VARIABLE: &str = "LAYERHOUSE_TEST_AZURE";
/// The account that every emulator has, and its key.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const ROOT: &str = "of/registry";

/// A container of its own.
pub(crate) struct Container {
    client: Client,
    address: SocketAddr,
    name: String,
}

impl Container {
    /// Makes one; `None` where there is no emulator, which is said. No two tests have the same name.
    pub(crate) fn make(name: &str) -> Option<Self> {
        let Ok(address) = std::env::var(VARIABLE) else {
            eprintln!("skipped: {VARIABLE} is not set; scripts/test-azure runs this with azurite");
            return None;
        };
        let address = address.parse().expect("an address and a port");
        let container = Self {
            client: Client::new(address),
            address,
            name: name.to_owned(),
        };
        let made = container.send("PUT", "", &[("restype", "container")], b"");
        assert_eq!(made.status, 201, "{}", made.text());
        Some(container)
    }

    /// What a server's configuration says of it, in YAML; `more` are further lines below `storage`.
    pub(crate) fn configuration(&self, more: &str) -> String {
        self.configured(&self.name, KEY, more)
    }

    /// The same of another container, or with another key.
    pub(crate) fn configured(&self, container: &str, key: &str, more: &str) -> String {
        let address = self.address;
        format!(
            "storage:\n  azure:\n    accountname: {ACCOUNT}\n    accountkey: {key}\n    container: {container}\n    \
             serviceurl: http://{address}/{ACCOUNT}\n    rootdirectory: /{ROOT}\n  {more}"
        )
    }

    /// The keys of all objects that are bytes of blobs.
    pub(crate) fn keys(&self) -> Vec<String> {
        let query = [("comp", "list"), ("restype", "container")];
        let mut keys = names(&self.send("GET", "", &query, b""));
        keys.retain(|key| !key.ends_with("layerhouse/registry"));
        keys
    }

    /// Those and the ones of which there are blocks alone.
    pub(crate) fn keys_with_waiting(&self) -> Vec<String> {
        let query = [
            ("comp", "list"),
            ("include", "uncommittedblobs"),
            ("restype", "container"),
        ];
        let mut keys = names(&self.send("GET", "", &query, b""));
        keys.retain(|key| !key.ends_with("layerhouse/registry"));
        keys
    }

    pub(crate) fn remove(&self, key: &str) {
        let answer = self.send("DELETE", key, &[], b"");
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    pub(crate) fn write(&self, key: &str, content: &[u8]) {
        let answer = self.send("PUT", key, &[], content);
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    /// The names of the blocks that wait to become the object of a key.
    pub(crate) fn waiting_blocks(&self, key: &str) -> Vec<String> {
        let query = [("blocklisttype", "uncommitted"), ("comp", "blocklist")];
        names(&self.send("GET", key, &query, b""))
    }

    /// Makes blocks the object of a key.
    pub(crate) fn commit(&self, key: &str, blocks: &[String]) {
        let mut list = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>".to_owned();
        for block in blocks {
            let _ = write!(list, "<Uncommitted>{block}</Uncommitted>");
        }
        list.push_str("</BlockList>");
        let query = [("comp", "blocklist")];
        let answer = self.send("PUT", key, &query, list.as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    /// A request that the account's key signs ("Authorize with Shared Key"); the query is in the order of its names.
    fn send(&self, method: &str, key: &str, query: &[(&str, &str)], body: &[u8]) -> Response {
        let slash = if key.is_empty() { "" } else { "/" };
        let path = format!("/{ACCOUNT}/{}{slash}{key}", self.name);
        let mut headers = vec![
            // An emulator does not mind the hour.
            ("x-ms-date", "Fri, 15 Jan 2027 08:00:00 GMT"),
            ("x-ms-version", "2021-12-02"),
        ];
        if method == "PUT" && query.is_empty() {
            headers.insert(0, ("x-ms-blob-type", "BlockBlob"));
        }
        let length = body.len().to_string();
        let shown = if body.is_empty() { "" } else { &length };
        let mut signed = format!("{method}\n\n\n{shown}\n\n\n\n\n\n\n\n\n");
        for (name, value) in &headers {
            let _ = writeln!(signed, "{name}:{value}");
        }
        let _ = write!(signed, "/{ACCOUNT}{path}");
        let mut target = path;
        for (number, (name, value)) in query.iter().enumerate() {
            let _ = write!(signed, "\n{name}:{value}");
            let mark = if number == 0 { '?' } else { '&' };
            let _ = write!(target, "{mark}{name}={value}");
        }
        let secret = STANDARD.decode(KEY).expect("base64");
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let signature = STANDARD.encode(hmac::sign(&secret, signed.as_bytes()));
        let authorization = format!("SharedKey {ACCOUNT}:{signature}");
        headers.push(("Authorization", &authorization));
        self.client.send(method, &target, &headers, body)
    }
}

/// What stands in the elements `Name` of an answer.
fn names(answer: &Response) -> Vec<String> {
    let text = answer.text();
    assert_eq!(answer.status, 200, "{text}");
    let names = text.split("<Name>").skip(1);
    let names = names.filter_map(|rest| rest.split_once("</Name>"));
    names.map(|(name, _)| name.to_owned()).collect()
}
