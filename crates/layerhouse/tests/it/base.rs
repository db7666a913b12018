//! What is there before any repository: the base of the API, health, headers for browsers, HTTP/2.

use std::io::{Read, Write};

use crate::harness::server::Server;
use crate::harness::transcript::{check, check_configured};

#[test]
fn an_empty_registry_answers() {
    check(
        "GET   /v2/                       200  '{}'  Content-Type: application/json
         GET   /v2                        200  '{}'
         HEAD  /v2/                       200  ''
         GET   /v2/_catalog               200  '{\"repositories\":[]}'
         GET   /                          200  ''
         GET   /healthz                   200  'ok…'
         GET   /readyz                    200  'ready…'
         POST  /v2/                       405  UNSUPPORTED  Allow: GET, HEAD, OPTIONS
         PUT   /                          405  UNSUPPORTED
         DELETE  /healthz                 405  UNSUPPORTED
         BREW  /v2/                       405  UNSUPPORTED
         GET   /v1/_ping                  404
         GET   /v2/acme/web               404
         GET   /v2//manifests/v1          400  NAME_INVALID
         GET   /v2/Acme/manifests/v1      400  NAME_INVALID
         GET   /v2/acme/manifests/.v1     400  TAG_INVALID
         GET   /v2/acme/manifests/        400  TAG_INVALID
         GET   /v2/acme/tags/list         404  NAME_UNKNOWN
         restart
         GET   /v2/                       200",
    );
}

#[test]
fn browsers_may_come_in_when_configured() {
    check(
        "OPTIONS  /v2/acme/web/manifests/v1  Origin: http://ui.example  204  Access-Control-Allow-Origin: -",
    );
    check_configured(
        "http:
           headers:
             Access-Control-Allow-Origin: ['http://ui.example']
             Access-Control-Allow-Methods: ['HEAD, GET, OPTIONS, DELETE']
             Access-Control-Allow-Headers: ['Authorization, Accept']
             Access-Control-Expose-Headers: ['Docker-Content-Digest']",
        "OPTIONS  /v2/acme/web/manifests/v1  Origin: http://ui.example  204  Access-Control-Allow-Origin: http://ui.example  Access-Control-Allow-Methods: HEAD, GET, OPTIONS, DELETE
         OPTIONS  /v2/_catalog  204  Access-Control-Allow-Headers: Authorization, Accept
         GET      /v2/_catalog  200  Access-Control-Allow-Origin: http://ui.example  Access-Control-Expose-Headers: Docker-Content-Digest
         GET      /v2/acme/web/manifests/v1  404  Access-Control-Allow-Origin: http://ui.example",
    );
}

/// Prior knowledge: preface and settings, GET /v2/ on stream 1, an answer of 200.
#[test]
fn cleartext_http2_is_understood() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    /// HEADERS with END_STREAM and END_HEADERS: `:method: GET`, `:scheme: http`, `:path: /v2/`,
    /// `:authority: r`.
    const GET: &[u8] = b"\0\0\x0b\x01\x05\0\0\0\x01\x82\x86\x04\x04/v2/\x01\x01r";
    let server = Server::start();
    let mut stream = server.client.connect();
    stream.write_all(PREFACE).unwrap();
    stream.write_all(GET).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let [_, high, low, kind, _, _, _, _, stream_id] = head;
        let mut payload = vec![0; usize::from(high) << 8 | usize::from(low)];
        stream.read_exact(&mut payload).unwrap();
        assert_ne!(kind, 7, "GOAWAY: {payload:?}");
        if kind == 1 && stream_id == 1 {
            // Entry 8 of the static table is `:status: 200`.
            assert_eq!(payload.first(), Some(&0x88));
            return;
        }
    }
}
