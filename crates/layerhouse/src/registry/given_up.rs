//! Nobody waits for a collection, for retention or for a backup any more while what it decided waits for the
//! database: it goes on, and what it decided under stays as it was.

use std::sync::Arc;
use std::time::Duration;

use layerhouse_oci::reference::Reference;
use tempfile::TempDir;
use tokio::time::timeout;

use super::Registry;
use super::collection::How;
use super::collection::simulation::{pull, push};
use super::house::House;
use super::manifest_rules::ManifestRules;
use crate::config::meaning::policies::{KeepRule, Policies, Policy, Retention};
use crate::fault::FaultKind;
use crate::meta;

#[tokio::test]
async fn a_link_is_not_promised_while_a_collection_that_was_given_up_removes_it() {
    let house = House::build().await;
    let registry = Arc::clone(&house.registry);
    // The database is busy.
    let (release, busy) = house.keep_database_busy();
    let collecting = Arc::clone(&registry);
    let client = tokio::spawn(async move {
        let how = How::default();
        collecting.collect(how, |_| Duration::ZERO, || false).await
    });
    house
        .wait_until("the link's lease is held", |registry| {
            registry.leases.try_take(&house.digest).is_none()
        })
        .await;
    client.abort();
    assert!(client.await.is_err_and(|error| error.is_cancelled()));
    assert!(registry.collection().is_running, "it goes on");
    let (asking, name, digest) = (
        Arc::clone(&registry),
        house.name.clone(),
        house.digest.clone(),
    );
    let asked = tokio::spawn(async move { asking.blob_size(&pull(&name), &digest).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!asked.is_finished(), "promised, and it goes");
    release.send(()).expect("the database waits for it");
    busy.await.expect("no panic").expect("it can be written");
    let asked = asked.await.expect("no panic").expect("it can be asked");
    assert_eq!(asked, None);
    registry.collection_over().await;
    let state = registry.collection();
    assert!(!state.is_running);
    assert_eq!((state.last.links, state.total.links), (1, 1));
    registry.close();
}

#[tokio::test]
async fn a_collection_that_is_over_takes_nothing() {
    let house = House::build().await;
    let how = How::default();
    let registry = &house.registry;
    let collected = registry.collect(how, |_| Duration::ZERO, || true).await;
    let fault = collected.expect_err("it was not done");
    assert_eq!(fault.kind(), FaultKind::Stopping);
    let state = registry.collection();
    assert!(!state.is_running);
    assert_eq!(state.total.links, 0);
    let collected = registry.collect(how, |_| Duration::ZERO, || false).await;
    assert_eq!(collected.expect("it goes").links, 1);
    registry.close();
}

#[tokio::test]
async fn retention_that_was_given_up_counts_what_it_removed() {
    let house = House::build().await;
    let registry = Arc::clone(&house.registry);
    let index = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    registry
        .push_manifest(
            &push(&house.name),
            &Reference::Tag("old".parse().expect("a tag")),
            None,
            index.into(),
            &Arc::new(ManifestRules::none()),
        )
        .await
        .expect("a good manifest is taken");
    registry.configure_policies(&Policies {
        entries: vec![Policy {
            key: "layerhouse.policies[0]".to_owned(),
            repositories: vec!["**".parse().expect("a pattern")],
            retention: Some(Retention {
                keep: Some(vec![KeepRule {
                    pushed_within: Some(Duration::from_mins(1)),
                    ..KeepRule::default()
                }]),
                untagged_after: None,
            }),
            immutable: None,
            quota: None,
            tag_names: None,
        }],
        ..Policies::default()
    });
    registry.clock().advance(Duration::from_hours(1));
    let (release, busy) = house.keep_database_busy();
    let retaining = Arc::clone(&registry);
    let client = tokio::spawn(async move { retaining.retain(None, || false).await });
    let moment = Duration::from_millis(1);
    while timeout(moment, registry.retention_over()).await.is_ok() {
        assert!(!client.is_finished(), "it waits for the database");
    }
    client.abort();
    assert!(client.await.is_err_and(|error| error.is_cancelled()));
    release.send(()).expect("the database waits for it");
    busy.await.expect("no panic").expect("it can be written");
    registry.retention_over().await;
    assert_eq!(registry.retention_totals(), (1, 1));
    registry.close();
}

#[tokio::test]
async fn what_a_backup_lacks_is_looked_at_under_its_lease_although_it_was_given_up() {
    let house = House::build().await;
    let registry = Arc::clone(&house.registry);
    registry.store.unpublish(&house.digest);
    let place = TempDir::new().expect("a temporary directory");
    let (release, busy) = house.keep_database_busy();
    let (making, to) = (Arc::clone(&registry), place.path().join("backups"));
    let client = tokio::spawn(async move { making.back_up(to, true).await });
    let is_held = |registry: &Registry| registry.leases.try_take(&house.digest).is_none();
    house.wait_until("the blob's lease is held", is_held).await;
    client.abort();
    assert!(client.await.is_err_and(|error| error.is_cancelled()));
    assert!(is_held(&registry), "what is missing is not written down");
    release.send(()).expect("the database waits for it");
    busy.await.expect("no panic").expect("it can be written");
    let is_noted = |registry: &Registry| {
        let last = registry.database.read(meta::snapshot::last);
        last.expect("it can be read")
            .is_some_and(|made| made.missing == 1)
    };
    house.wait_until("the backup is remembered", is_noted).await;
    registry.close();
}
