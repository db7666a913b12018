//! Damage on the disk (S22): wrong bytes are never a clean 200, are not said to be there once they are
//! known, and are healed by pushing them again.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::harness::images;
use crate::harness::server::Server;

/// What can happen to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip,
    Truncate,
    Grow,
    Zero,
    Empty,
    Remove,
}

const ALL: [Damage; 6] = [
    Damage::Flip,
    Damage::Truncate,
    Damage::Grow,
    Damage::Zero,
    Damage::Empty,
    Damage::Remove,
];

impl Damage {
    fn strike(self, path: &Path) {
        let length = fs::metadata(path).unwrap().len();
        if let Self::Remove = self {
            return fs::remove_file(path).unwrap();
        }
        let mut permissions = fs::metadata(path).unwrap().permissions();
        #[expect(
            clippy::permissions_set_readonly_false,
            reason = "published files may be read-only"
        )]
        permissions.set_readonly(false);
        fs::set_permissions(path, permissions).unwrap();
        let file = File::options().read(true).write(true).open(path).unwrap();
        match self {
            Self::Flip => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, length / 2).unwrap();
                file.write_all_at(&[byte[0] ^ 1], length / 2).unwrap();
            }
            Self::Truncate => file.set_len(length - 1).unwrap(),
            Self::Grow => file.set_len(length + 1).unwrap(),
            Self::Zero => file
                .write_all_at(&vec![0; usize::try_from(length).unwrap()], 0)
                .unwrap(),
            Self::Empty => file.set_len(0).unwrap(),
            Self::Remove => {}
        }
        // The file system's clock is coarse: what was published in the same tick must look changed.
        #[expect(
            clippy::disallowed_methods,
            reason = "files live in the machine's time"
        )]
        let later = SystemTime::now() + Duration::from_secs(1);
        file.set_modified(later).unwrap();
    }
}

#[test]
fn sec_s22_damaged_blobs_are_not_served_and_heal() {
    for damage in ALL {
        for restarts in [false, true] {
            let mut server = Server::start();
            server.may_complain();
            let content = format!("{damage:?} {restarts}").repeat(5000);
            let digest = images::push_blob(&server.client, "acme/web", &content);
            let path = format!("/v2/acme/web/blobs/{digest}");
            assert_eq!(server.client.get(&path).text(), content);
            if restarts {
                server.stop();
            }
            damage.strike(&server.blob_path(&digest));
            if restarts {
                server.restart();
            }
            let client = server.client;
            let told = format!("{damage:?}, restarts: {restarts}");
            let part = client.send("GET", &path, &[("Range", "bytes=0-9")], b"");
            assert_eq!(part.status, 404, "{told}: a part");
            let whole = client.get(&path);
            assert_eq!(whole.status, 404, "{told}");
            assert_eq!(client.send("HEAD", &path, &[], b"").status, 404, "{told}");
            let mount = format!("/v2/acme/api/blobs/uploads/?mount={digest}&from=acme/web");
            let mounted = client.send("POST", &mount, &[], b"");
            assert_eq!(mounted.status, 202, "{told}: a mount");
            let upload = mounted.header("location").unwrap();
            assert_eq!(client.send("DELETE", upload, &[], b"").status, 204);
            let image = images::image(&content, &[]).to_string();
            let answer = images::push_manifest(&client, "acme/web", "v1", &image);
            assert_eq!(answer.status, 404, "{told}: a manifest that needs it");
            images::push_blob(&client, "acme/web", &content);
            assert_eq!(client.get(&path).text(), content, "{told}: healed");
            assert_eq!(
                images::push_manifest(&client, "acme/web", "v1", &image).status,
                201
            );
            server.restart();
            assert_eq!(
                server.client.get(&path).text(),
                content,
                "{told}: healed for good"
            );
        }
    }
}

/// A blob too large to be hashed before it is served is hashed on the way: the answer is cut.
#[test]
fn sec_s22_a_large_damaged_blob_is_cut_off() {
    let mut server = Server::start();
    server.may_complain();
    let mut content = vec![0; (64 << 20) + 4096];
    content[0] = 1;
    let digest = images::push_blob(&server.client, "acme/web", &content);
    server.stop();
    Damage::Flip.strike(&server.blob_path(&digest));
    server.restart();
    let path = format!("/v2/acme/web/blobs/{digest}");
    assert!(
        server.client.try_send("GET", &path, &[], b"").is_err(),
        "a clean end of wrong bytes"
    );
    assert_eq!(server.client.get(&path).status, 404);
    assert_eq!(server.client.send("HEAD", &path, &[], b"").status, 404);
    images::push_blob(&server.client, "acme/web", &content);
    server.restart();
    assert!(server.client.get(&path).body == content, "healed");
}

/// Manifests are rows; the copy that a registry:2 would read is made again.
#[test]
fn sec_s22_the_copy_of_a_manifest_is_not_what_is_served() {
    let mut server = Server::start();
    let manifest = images::push_image(&server.client, "acme/web", "v1", "abcd");
    server.stop();
    Damage::Flip.strike(&server.blob_path(&images::digest(&manifest)));
    server.restart();
    assert_eq!(
        server.client.get("/v2/acme/web/manifests/v1").text(),
        manifest
    );
    let digest = images::digest(&manifest);
    assert_eq!(
        images::push_manifest(&server.client, "acme/web", &digest, &manifest).status,
        201
    );
}

/// What is damaged and not healed is what `verify` finds.
#[test]
fn sec_s22_verify_finds_what_is_damaged() {
    for damage in ALL {
        let mut server = Server::start();
        let digest = images::push_blob(&server.client, "acme/web", "abcd");
        images::push_blob(&server.client, "acme/web", "efgh");
        server.stop();
        Damage::strike(damage, &server.blob_path(&digest));
        let report = crate::harness::database::verify(&server.root()).unwrap();
        let found = report
            .findings
            .iter()
            .filter(|found| found.what.contains(&digest))
            .count();
        assert_eq!(
            (report.findings.len(), found),
            (1, 1),
            "{damage:?}: {report}"
        );
        server.leave_unverified();
    }
}
