//! Object storage on a real system: buckets, an archive, a backup that is restored, and that no key of a run is left behind.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use pgquake::{
    drill::{BackupOrder, Drill, DrillContext, RestorePoint, RunbookOrder, Sharing, Turn},
    engine::{
        Engine,
        leftovers::{Ownership, Sweep},
    },
    faults::{Injector, Order, Target},
    history::{Event, Occurrence, Recorder, event::RestoreOutcome, read_history},
    plan::Plan,
    s3::{At, S3, S3Error, Server},
    services::{minio::S3_PORT, postgresql::server::DATA_DIRECTORY},
    system::{Access, System, bucket_client},
    topology::{self, OtherServer},
    waiting::wait_until,
};

const RUN: &str = "test-storage";
const BUCKET: &str = "pgquake-backups";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "MinIO is compiled for minutes where it can't be pulled; .ci/nightly runs this"]
async fn an_archive_is_kept_and_restored() {
    let engine = Engine::connect().await.unwrap();
    let ownership = Ownership::of(RUN).unwrap();
    let tried = tokio::spawn(drill_with_backups(engine.clone(), ownership.label())).await;
    engine.sweep(Sweep::Run(RUN)).await.unwrap();
    if let Err(failed) = tried {
        std::panic::resume_unwind(failed.into_panic());
    }
}

/// PostgreSQL archives under a stanza that nobody has made.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "MinIO is compiled for minutes where it can't be pulled; .ci/nightly runs this"]
async fn a_stanza_that_is_missing_is_told_before_anything_is_broken() {
    const RUN: &str = "test-stanza";
    let engine = Engine::connect().await.unwrap();
    let ownership = Ownership::of(RUN).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(&folder.path().join("history.jsonl")).unwrap();
    let context = DrillContext::new(engine.clone(), recorder, RUN, ownership.label(), folder.path());
    let mut topology = topology::load("single-region-archive", &[]).unwrap();
    // pgBackRest knows the data directory of its own stanza alone.
    let command = format!("pgbackrest --stanza=nobodys --pg1-path={DATA_DIRECTORY} archive-push %p");
    topology.settings.postgresql.parameters.insert("archive_command".to_owned(), command);
    let started = context.start(&Plan::new(topology), 1).await;
    engine.sweep(Sweep::Run(RUN)).await.unwrap();
    let error = started.err().expect("no file can be archived").to_string();
    for told in ["the first file in the archive of main", "nobodys", "has a stanza-create been performed?"] {
        assert!(error.contains(told), "{told} is missing in: {error}");
    }
}

async fn drill_with_backups(engine: Engine, owner: String) {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(&folder.path().join("history.jsonl")).unwrap();
    let context = DrillContext::new(engine, recorder.clone(), RUN, owner, folder.path());
    let sharing = Sharing { first: 1, before: 0, trials: 1 };
    let turn = Turn { scenario: 1, draws: 1, sharing, may_begin_again: false };
    let mut drill = Drill::new(context.into(), turn);
    drill.choose_topology("single-region-archive").unwrap();
    let system = drill.system().await.unwrap().clone();
    for (what, after) in system.startup_steps() {
        println!("{:6.1} s  {what}", after.as_secs_f64());
    }

    what_is_wrong_with_a_server_is_told_by_name(&system).await;
    the_server_breaks_and_is_mended(&system, &recorder).await;
    an_archive_command_dies(&system, &recorder).await;
    for order in [BackupOrder::Take("main".to_owned()), BackupOrder::Restore("main".to_owned(), RestorePoint::Latest)] {
        drill.follow_runbook(&RunbookOrder::WithBackups(order)).await.unwrap();
    }
    drill.close().await;

    let events = read_history(recorder.path()).unwrap();
    let restored = events.iter().find_map(|event| match &event.what {
        Occurrence::Restored(restored) => Some(restored),
        _ => None,
    });
    let outcome = &restored.expect("a restore").outcome;
    let RestoreOutcome::Open { took_ms, accepts_writes, found, .. } = outcome else { panic!("{outcome:?}") };
    println!("restored within {took_ms} ms");
    assert!(*accepts_writes && !found.is_empty());
    assert!(events.iter().any(|event| matches!(event.what, Occurrence::ArchiveObject(_))), "nothing was archived");
    no_key_is_left_behind(&system, folder.path());
}

fn server<'a>(system: &'a System, address: SocketAddr) -> Server<'a> {
    let credentials = &system.access().credentials;
    Server {
        host: "storage",
        at: At::Address(address),
        region: "us-east-1",
        key_id: &credentials.bucket_key_id,
        secret: &credentials.bucket_secret,
        authority: &credentials.authority.certificate,
    }
}

async fn what_is_wrong_with_a_server_is_told_by_name(system: &System) {
    let address = system.access().address("storage", S3_PORT).unwrap();
    let known = server(system, address);
    let ask = |server: Server<'_>| {
        let client = S3::new(&server).unwrap();
        async move { client.list(BUCKET, "archive/").await }
    };
    let listed = wait_until("an object in the archive", Duration::from_secs(10), || async {
        ask(known.clone()).await.map_err(|error| error.to_string())?.pop().ok_or_else(|| "none".to_owned())
    });
    assert!(listed.await.unwrap().key.starts_with("archive/main/"));

    let other_authority = pgquake::secrets::generate(system.plan()).unwrap().authority.certificate;
    let error = ask(Server { authority: &other_authority, ..known.clone() }).await.unwrap_err();
    assert!(matches!(error, S3Error::Certificate { .. }), "{error}");
    let error = ask(Server { secret: "of another server", ..known.clone() }).await.unwrap_err();
    assert!(matches!(error, S3Error::Keys { .. }), "{error}");
    let error = ask(Server { key_id: "nobody", ..known.clone() }).await.unwrap_err();
    assert!(matches!(error, S3Error::Keys { .. }), "{error}");
    let error = S3::new(&known).unwrap().list("no-such-bucket", "").await.unwrap_err();
    assert!(matches!(error, S3Error::NoBucket { .. }), "{error}");
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let error = ask(Server { at: At::Address(nobody), ..known.clone() }).await.unwrap_err();
    assert!(matches!(error, S3Error::Unreachable { .. }), "{error}");
    another_server_is_reached_by_its_name(system, address).await;
    for secret in system.access().credentials.secrets() {
        assert!(!format!("{error} {error:?}").contains(&secret));
    }
}

/// A bucket of a server that is none of the topology's: here the system's own, under an address that its certificate does not
/// name.
async fn another_server_is_reached_by_its_name(system: &System, address: SocketAddr) {
    let mut bucket = system.plan().topology.buckets[0].clone();
    let server = OtherServer { authority: "ca.pem".to_owned(), keys: "ELSEWHERE".to_owned() };
    (bucket.host, bucket.port, bucket.server) = (address.ip().to_string(), address.port(), Some(server));
    let mut credentials = system.access().credentials.clone();
    let access = credentials.of_bucket(&bucket.name);
    credentials.other_buckets.insert(bucket.name.clone(), access);
    let client = bucket_client(&Access::new(credentials), &bucket).unwrap();
    let error = client.list(&bucket.name, "archive/").await.unwrap_err();
    assert!(matches!(error, S3Error::Certificate { .. }), "{error}");
}

fn order<'a>(fault: &'static str, target: &'a Target) -> Order<'a> {
    Order { fault, target, parameters: Default::default(), notes: Default::default(), worst: Default::default() }
}

/// Each fault of the server bites, leaves alone what it does not touch, and is gone when it is healed.
async fn the_server_breaks_and_is_mended(system: &System, recorder: &Recorder) {
    let injector = Injector::new(system.clone(), recorder.for_scenario(2));
    let [storage, node] = ["storage", "node1"].map(Target::parse);
    for (fault, reason) in [("certificate_expired", "expired"), ("bucket_full", "Quota"), ("drive_gone", "503")] {
        let before = listed(system).await.unwrap();
        injector.inject(order(fault, &storage)).await.unwrap();
        let error = system.s3_stores("storage").await.unwrap_err().to_string();
        assert!(error.contains(reason), "{fault}: {error}");
        match fault {
            "bucket_full" => assert!(listed(system).await.unwrap() >= before, "what it holds can't be listed"),
            "drive_gone" => drop(listed(system).await.unwrap_err()),
            _ => {}
        }
        injector.heal_all().await.unwrap();
        system.s3_stores("storage").await.unwrap();
        assert!(listed(system).await.unwrap() >= before, "{fault} has lost objects");
        let refused = injector.inject(order(fault, &node)).await.err().map(|error| error.to_string());
        assert!(refused.is_some_and(|reason| reason.contains("node1 serves no bucket")));
    }
}

/// How many versions of objects the bucket lists.
async fn listed(system: &System) -> Result<usize, String> {
    let bucket = &system.plan().topology.buckets[0];
    let client = bucket_client(system.access(), bucket).map_err(|error| error.to_string())?;
    Ok(client.list(&bucket.name, "").await.map_err(|error| error.to_string())?.len())
}

/// The archive command of the primary dies, and what it was to send is archived all the same.
async fn an_archive_command_dies(system: &System, recorder: &Recorder) {
    let injector = Injector::new(system.clone(), recorder.for_scenario(3));
    let [primary, standby, storage] = ["the primary", "a standby", "storage"].map(Target::parse);
    injector.inject(order("archive_push_killed", &primary)).await.unwrap();
    injector.heal_all().await.unwrap();
    let events = read_history(recorder.path()).unwrap();
    let shown = |said: &str| {
        let told = |event: &Event| serde_json::to_string(&event.what).is_ok_and(|text| text.contains(said));
        events.iter().any(told)
    };
    assert!(shown("waits to be archived") && shown("was archived since"), "the file is named in the proofs");
    for (other, why) in [(&standby, "is not the primary"), (&storage, "runs no PostgreSQL")] {
        let refused = injector.inject(order("archive_push_killed", other)).await.err().map(|error| error.to_string());
        assert!(refused.as_ref().is_some_and(|reason| reason.contains(why)), "{refused:?}");
    }
}

/// Neither history, plan nor log of a run shows a password, a key or a line of a certificate's key.
fn no_key_is_left_behind(system: &System, folder: &Path) {
    let secrets = system.access().credentials.secrets();
    assert!(secrets.len() > 6, "there are keys of certificates, too");
    let mut looked_at = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned();
            let shown = secrets.iter().any(|secret| text.contains(secret.as_str()));
            assert!(!shown, "{} shows a secret", entry.path().display());
            looked_at += 1;
        }
    }
    assert!(looked_at > 8, "{looked_at} files are not all of a run");
}
