//! A bucket at a server of S3 that runs beside the tests and is not ours; nothing where there is none.
//! `scripts/with-radosgw` and `scripts/with-garage` start one.

use std::fmt::Write;
use std::net::SocketAddr;

use aws_lc_rs::{digest, hmac};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use super::google::hex;
use super::http::{Client, Response};

/// Where the server is: `127.0.0.1:7480`. What it knows us by may be said, too: its access key, and the secret.
const VARIABLE: &str = "LAYERHOUSE_TEST_S3";
const KEY: (&str, &str) = ("LAYERHOUSE_TEST_S3_KEY", "key");
const SECRET: (&str, &str) = ("LAYERHOUSE_TEST_S3_SECRET", "secret");
const REGION: &str = "us-east-1";
/// What the tests' client says in each request, which is signed.
const HOST: &str = "registry";
const ROOT: &str = "of/registry";

/// A bucket of its own.
pub(crate) struct Outside {
    client: Client,
    address: SocketAddr,
    key: String,
    secret: String,
    name: String,
}

impl Outside {
    /// Makes one; `None` where there is no server, which is said. No two tests of a run have the same name.
    pub(crate) fn make(name: &str) -> Option<Self> {
        let Ok(address) = std::env::var(VARIABLE) else {
            eprintln!("skipped: {VARIABLE} is not set; scripts/with-radosgw runs this with Ceph's");
            return None;
        };
        let address = address.parse().expect("an address and a port");
        let said = |(name, default): (&str, &str)| std::env::var(name).unwrap_or(default.into());
        let bucket = Self {
            client: Client::new(address),
            address,
            key: said(KEY),
            secret: said(SECRET),
            name: format!("{name}-{}", std::process::id()),
        };
        let made = bucket.send("PUT", "", "", b"");
        assert_eq!(made.status, 200, "{}", made.text());
        Some(bucket)
    }

    /// What a server's configuration says of it, in YAML; `more` are further lines below `storage`.
    pub(crate) fn configuration(&self, more: &str) -> String {
        self.configured(&self.secret, more)
    }

    /// The same with another secret.
    pub(crate) fn configured(&self, secret: &str, more: &str) -> String {
        let (address, bucket, key) = (self.address, &self.name, &self.key);
        format!(
            "storage:\n  s3:\n    bucket: {bucket}\n    region: {REGION}\n    accesskey: {key}\n    secretkey: {secret}\n    \
             regionendpoint: http://{address}\n    chunksize: 5242880\n    rootdirectory: /{ROOT}\n  {more}"
        )
    }

    /// The section `storage` of a registry:2 that has it.
    pub(crate) fn of_registry_2(&self) -> Value {
        json!({
            "s3": {
                "bucket": self.name,
                "region": REGION,
                "accesskey": self.key,
                "secretkey": self.secret,
                "regionendpoint": format!("http://{}", self.address),
                "secure": false,
                "rootdirectory": format!("/{ROOT}"),
            },
            "redirect": { "disable": true },
        })
    }

    /// The keys of all objects that are bytes of blobs.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys = elements(&self.send("GET", "", "list-type=2", b""), "Key");
        keys.retain(|key| !key.ends_with("layerhouse/registry"));
        keys
    }

    /// The keys and names of the uploads in parts that were neither completed nor given up.
    pub(crate) fn open_parts(&self) -> Vec<(String, String)> {
        let answer = self.send("GET", "", "uploads=", b"");
        let keys = elements(&answer, "Key").into_iter();
        keys.zip(elements(&answer, "UploadId")).collect()
    }

    /// Makes `whole` an object, of the parts that it has and one with the rest.
    pub(crate) fn complete(&self, key: &str, upload: &str, whole: &[u8]) {
        let at = format!("uploadId={upload}");
        let parts = || self.send("GET", key, &at, b"");
        let sizes = elements(&parts(), "Size");
        let sizes = sizes
            .iter()
            .map(|size| size.parse::<usize>().expect("a size"));
        let last = format!("partNumber={}&{at}", sizes.len() + 1);
        let put = self.send("PUT", key, &last, &whole[sizes.sum::<usize>()..]);
        assert_eq!(put.status, 200, "{}", put.text());
        let parts = elements(&parts(), "ETag");
        let mut named = "<CompleteMultipartUpload>".to_owned();
        for (number, name) in (1..).zip(parts) {
            let _ = write!(
                named,
                "<Part><PartNumber>{number}</PartNumber><ETag>{name}</ETag></Part>"
            );
        }
        named.push_str("</CompleteMultipartUpload>");
        let answer = self.send("POST", key, &at, named.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub(crate) fn remove(&self, key: &str) {
        let answer = self.send("DELETE", key, "", b"");
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    pub(crate) fn write(&self, key: &str, content: &[u8]) {
        let answer = self.send("PUT", key, "", content);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// A request that is signed ("Signature Version 4"); the query is in the order of its names, and escaped.
    fn send(&self, method: &str, key: &str, query: &str, body: &[u8]) -> Response {
        let slash = if key.is_empty() { "" } else { "/" };
        let path = format!("/{}{slash}{key}", self.name);
        let at = format_description!("[year][month][day]T[hour][minute][second]Z");
        let now = OffsetDateTime::now_utc().format(&at).expect("a date");
        let (day, _) = now.split_once('T').expect("a date and an hour");
        let content = hex(digest::digest(&digest::SHA256, body).as_ref());
        let names = "host;x-amz-content-sha256;x-amz-date";
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{HOST}\nx-amz-content-sha256:{content}\nx-amz-date:{now}\n\n{names}\n{content}"
        );
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let hashed = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let signed = format!("AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashed}");
        let mut secret = format!("AWS4{}", self.secret).into_bytes();
        for part in scope.split('/').chain([signed.as_str()]) {
            let with = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            secret = hmac::sign(&with, part.as_bytes()).as_ref().to_vec();
        }
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            self.key,
            hex(&secret)
        );
        let target = if query.is_empty() {
            path
        } else {
            format!("{path}?{query}")
        };
        let headers = [
            ("x-amz-content-sha256", content.as_str()),
            ("x-amz-date", &now),
            ("Authorization", &authorization),
        ];
        self.client.send(method, &target, &headers, body)
    }
}

/// What stands in the elements of an answer that are called so.
fn elements(answer: &Response, name: &str) -> Vec<String> {
    let text = answer.text();
    assert_eq!(answer.status, 200, "{text}");
    let beginning = format!("<{name}>");
    let found = text.split(&beginning).skip(1);
    let found = found.filter_map(|rest| rest.split_once('<'));
    found
        .map(|(content, _)| content.replace("&quot;", "\""))
        .collect()
}
