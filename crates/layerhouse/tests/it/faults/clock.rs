//! F13: somebody sets the machine's clock a year forward or back. What was promised is measured by time that
//! passes, not by what the clock says; and what seems to be a year old is left alone for a while, for the clock
//! may be set right again.

use std::time::Duration;

use super::super::harness::console::ask;
use super::super::harness::images::{digest, image, push_blob, push_image, push_manifest};
use super::super::harness::server::Server;
use super::crash::wait_until;
use super::ledger::{held_bytes, location};
use super::noise;

const YEAR_DAYS: i64 = 365;
const MINUTE: Duration = Duration::from_mins(1);

/// Lets so many minutes pass, in which the jobs do what they do each minute.
fn pass(server: &Server, minutes: u32) {
    for _ in 0..minutes {
        server.advance(MINUTE);
        // Jobs wake by that and have nobody to say that they are done.
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(server.client.get("/v2/").status, 200);
    }
}

/// What is under way when the clock is set.
struct UnderWay {
    kept: String,
    deleted: String,
    session: String,
    content: Vec<u8>,
}

impl UnderWay {
    fn begin(server: &Server) -> Self {
        let client = server.client;
        let kept = push_image(&client, "acme/web", "kept", "kept");
        let deleted = push_image(&client, "acme/web", "deleted", "deleted");
        let path = format!("/v2/acme/web/manifests/{}", digest(&deleted));
        assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);
        // Told to be there: the manifest that needs it is still to come.
        push_blob(&client, "acme/other", "told to be there");
        push_blob(&client, "acme/other", "{}");
        let content = noise(1, 3000);
        let session = location(&client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b""));
        let sent = client.send("PATCH", &session, &[], &content[..1000]);
        assert_eq!(sent.status, 202);
        Self {
            kept,
            deleted,
            session,
            content,
        }
    }

    /// Nobody who is in the middle of something notices.
    fn finish(&self, server: &Server) {
        let client = server.client;
        assert_eq!(held_bytes(&client.get(&self.session)), 1000);
        let put = format!("{}?digest={}", self.session, digest(&self.content));
        let put = client.send("PUT", &put, &[], &self.content[1000..]);
        assert_eq!(put.status, 201, "{}", put.text());
        let manifest = image("{}", &["told to be there"]).to_string();
        let pushed = push_manifest(&client, "acme/other", "late", &manifest);
        assert_eq!(pushed.status, 201, "{}", pushed.text());
        let path = format!(
            "/repositories/acme/web/-/manifests/{}/restore",
            digest(&self.deleted)
        );
        let (status, said) = ask(&server.root(), "POST", &path, None);
        assert_eq!(status, 200, "{said}");
        for (tag, manifest) in [("kept", &self.kept), ("deleted", &self.deleted)] {
            let pulled = client.get(&format!("/v2/acme/web/manifests/{tag}"));
            assert_eq!((pulled.status, &pulled.text()), (200, manifest));
            let blob = client.get(&format!("/v2/acme/web/blobs/{}", digest(tag)));
            assert_eq!((blob.status, blob.text().as_str()), (200, tag));
        }
    }
}

#[test]
fn fault_f13_a_clock_that_is_set_forward_ends_nothing_that_is_under_way() {
    for goes_back in [true, false] {
        let mut server = Server::start();
        server.may_complain();
        let under_way = UnderWay::begin(&server);
        pass(&server, 2);
        server.set_clock(YEAR_DAYS);
        pass(&server, 20);
        if goes_back {
            server.set_clock(-YEAR_DAYS);
            pass(&server, 20);
        }
        under_way.finish(&server);
    }
}

/// A machine that starts with a wrong clock is not believed at once either.
#[test]
fn fault_f13_a_start_with_a_wrong_clock_ends_nothing() {
    let mut server = Server::start();
    server.may_complain();
    let under_way = UnderWay::begin(&server);
    pass(&server, 2);
    server.stop();
    server.set_clock(YEAR_DAYS);
    server.restart();
    pass(&server, 20);
    server.stop();
    server.set_clock(-YEAR_DAYS);
    server.restart();
    pass(&server, 20);
    under_way.finish(&server);
}

/// If it stays so, it is the time, and what is old by it goes.
#[test]
fn fault_f13_a_clock_that_stays_forward_is_believed() {
    let mut server = Server::start();
    server.may_complain();
    let client = server.client;
    let under_way = UnderWay::begin(&server);
    server.set_clock(YEAR_DAYS);
    let gone = server.blob_path(&digest("deleted"));
    let mut minutes = 0;
    wait_until("what was deleted a year ago is collected", || {
        pass(&server, 1);
        minutes += 1;
        !gone.exists()
    });
    assert!(60 <= minutes, "after {minutes} minutes");
    let kept = client.get("/v2/acme/web/manifests/kept");
    assert_eq!(kept.text(), under_way.kept);
    assert_eq!(
        client.get(&under_way.session).status,
        404,
        "an hour is enough for it"
    );
}

#[test]
fn fault_f13_a_clock_that_is_set_back_holds_up_nothing_new() {
    let mut server = Server::start();
    server.may_complain();
    let under_way = UnderWay::begin(&server);
    server.set_clock(-YEAR_DAYS);
    pass(&server, 20);
    under_way.finish(&server);
    let client = server.client;
    // Tags move in the order in which they are moved, and what is new grows old.
    let later = push_image(&client, "acme/web", "kept", "later");
    assert_eq!(client.get("/v2/acme/web/manifests/kept").text(), later);
    let (status, restored) = ask(
        &server.root(),
        "POST",
        "/repositories/acme/web/-/tags/kept/restore",
        Some(&serde_json::json!({})),
    );
    assert_eq!(status, 200, "{restored}");
    assert_eq!(
        client.get("/v2/acme/web/manifests/kept").text(),
        under_way.kept
    );
    let unneeded = server.blob_path(&push_blob(&client, "acme/third", "unneeded"));
    let session = location(&client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b""));
    wait_until("an upload that nobody goes on with ends", || {
        pass(&server, 1);
        client.get(&session).status == 404
    });
    wait_until("what nothing needs is collected", || {
        pass(&server, 1);
        !unneeded.exists()
    });
    // And right again.
    server.set_clock(YEAR_DAYS);
    pass(&server, 5);
    assert_eq!(
        client.get("/v2/acme/web/manifests/kept").text(),
        under_way.kept
    );
}
