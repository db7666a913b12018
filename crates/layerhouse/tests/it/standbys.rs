//! Lists that a streaming standby of the PostgreSQL answers (`LAYERHOUSE_TEST_STANDBY`); without one there is nothing to
//! see here.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use postgres::Client as Standby;

use crate::harness::bucket::Bucket;
use crate::harness::database;
use crate::harness::http::Client;
use crate::harness::images::push_image;
use crate::harness::server::Server;

/// What is said of a second, for a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < SOON, "it is not so: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The way to a standby, which can be cut, and held: then nothing comes through and nobody is told.
struct Way {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    is_held: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let way = Self {
            address: listener.local_addr().unwrap(),
            is_cut: Arc::default(),
            is_held: Arc::default(),
            open: Arc::default(),
        };
        let (is_cut, open) = (Arc::clone(&way.is_cut), Arc::clone(&way.open));
        let is_held = Arc::clone(&way.is_held);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(target) else {
                    continue;
                };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let is_held = Arc::clone(&is_held);
                    std::thread::spawn(move || {
                        let mut buffer = [0; 4096];
                        while let Ok(length @ 1..) = from.read(&mut buffer) {
                            while is_held.load(Ordering::SeqCst) {
                                std::thread::sleep(Duration::from_millis(10));
                            }
                            if to.write_all(&buffer[..length]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                open.lock().unwrap().extend([near, far]);
            }
        });
        way
    }

    fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// How often the standby itself read the table of repositories, which nothing but lists asks it for.
fn reads(standby: &mut Standby) -> i64 {
    let sql = "SELECT CAST(seq_scan + COALESCE(idx_scan, 0) AS BIGINT) FROM pg_stat_user_tables
               WHERE relname = 'repositories'";
    standby.query_one(sql, &[]).unwrap().get(0)
}

fn lists(client: &Client, repository: &str) -> bool {
    let tags = client.get(&format!("/v2/{repository}/tags/list"));
    let catalog = client.get("/v2/_catalog");
    assert_eq!(catalog.status, 200, "{}", catalog.text());
    tags.status == 200 && catalog.text().contains(&format!("{repository:?}"))
}

/// Asks for lists until the standby was seen to read for them.
fn read_there(client: &Client, standby: &mut Standby) {
    let before = reads(standby);
    until("the standby answers lists", || {
        assert!(lists(client, "acme/first"));
        before < reads(standby)
    });
}

#[test]
fn a_standby_answers_lists_but_none_from_before() {
    let bucket = Bucket::start();
    let plain = bucket.configuration("");
    let mut server = Server::configured(&plain);
    let Some(url) = database::standby_of(&server.root()) else {
        return;
    };
    push_image(&server.client, "acme/first", "v1", "layer");
    let (address, name) = url.split_once('@').unwrap().1.split_once('/').unwrap();
    let way = Way::to(address.parse().unwrap());
    let (by_way, elsewhere) = (
        format!("postgres://postgres@{}/{name}", way.address),
        format!("postgres://postgres@{address}/postgres"),
    );
    let with = |url: &str| format!("{plain}\nlayerhouse: {{standbys: ['{url}']}}");

    let refused = server.refusal(&with(&elsewhere));
    assert!(refused.contains("is no standby of"), "{refused}");

    // One that does not answer keeps nobody from starting, and is found when it does.
    way.cut(true);
    server.reconfigure(&with(&by_way));
    let other = server.replica(11);
    assert!(lists(&server.client, "acme/first"));
    way.cut(false);
    let mut standby = database::connect(&url);
    read_there(&server.client, &mut standby);
    read_there(&other.client, &mut standby);

    // It stands still: what was pushed is listed at once here, and soon by the other.
    standby
        .batch_execute("SELECT pg_wal_replay_pause()")
        .unwrap();
    until("it stands still", || {
        let state = standby.query_one("SELECT pg_get_wal_replay_pause_state()", &[]);
        state.unwrap().get::<_, String>(0) == "paused"
    });
    for number in 0..10 {
        let repository = format!("acme/paused{number}");
        push_image(&server.client, &repository, "v1", "layer");
        assert!(lists(&server.client, &repository), "{repository}");
        until("the other lists it, too", || {
            lists(&other.client, &repository)
        });
    }
    standby
        .batch_execute("SELECT pg_wal_replay_resume()")
        .unwrap();
    read_there(&server.client, &mut standby);

    // It says nothing: that is waited for, but not long, and not by each.
    way.is_held.store(true, Ordering::SeqCst);
    let began = Instant::now();
    for _ in 0..10 {
        assert!(lists(&server.client, "acme/paused9"));
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    way.is_held.store(false, Ordering::SeqCst);
    read_there(&server.client, &mut standby);

    // It is gone: nobody notices.
    way.cut(true);
    for _ in 0..10 {
        assert!(lists(&server.client, "acme/paused9"));
    }
    push_image(&server.client, "acme/last", "v1", "layer");
    assert!(lists(&server.client, "acme/last"));
    way.cut(false);
    read_there(&server.client, &mut standby);
}
