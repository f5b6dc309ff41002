//! The five minutes of a webhook, played to their end: real requests to a real receiver, on a clock that need not be waited for.

use std::sync::Mutex;

use jackfield_hub::doors::{Answer, DoorError};
use jackfield_hub::{Policy, Secret};
use jackfield_stores::AppTable;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::patience::GIVE_UP;
use super::*;

/// A clock on which nobody waits, because a pause is over as soon as it is begun.
struct QuickClock {
    begun: Instant,
    /// The pauses so far, in seconds.
    pauses: Mutex<Vec<u64>>,
}

impl Clock for &QuickClock {
    fn now(&self) -> Instant {
        self.begun + Duration::from_secs(self.pauses.lock().expect("nobody panics with it").iter().sum())
    }

    async fn pause(&self, pause: Duration) {
        assert_eq!(pause.subsec_nanos(), 0, "{pause:?}");
        self.pauses.lock().expect("nobody panics with it").push(pause.as_secs());
    }
}

impl QuickClock {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            pauses: Mutex::default(),
        }
    }

    fn pauses(&self) -> Vec<u64> {
        self.pauses.lock().expect("nobody panics with it").clone()
    }
}

/// Words notices as one request that names them, but not the first few times.
struct Wording {
    url: String,
    failures: AtomicU64,
}

impl WebhookSink for Wording {
    fn prepare(&self, _app: &Arc<App>, notices: &[Notice]) -> Answer<Result<Vec<WebhookCall>, DoorError>> {
        let fails = |left: u64| left.checked_sub(1);
        if self
            .failures
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails)
            .is_ok()
        {
            return Answer::Ready(Err(DoorError::Missing {
                door: "webhook",
                plugin: "wording".to_owned(),
                reason: "not there yet".to_owned(),
            }));
        }
        let ids: Vec<&str> = notices.iter().map(|notice| notice.id.as_str()).collect();
        Answer::Ready(Ok(vec![WebhookCall {
            url: self.url.clone(),
            headers: vec![("x-jackfield-notices".to_owned(), ids.join(","))],
            body: b"{}".to_vec(),
            signature_header: Some("x-pusher-signature".to_owned()),
        }]))
    }
}

/// What came of telling a receiver that answers with these statuses, the last of them for ever, of two notices: the pauses in
/// seconds, the requests without their `date`, and how many were given up.
async fn told(statuses: &[u16], failures: u64) -> (Vec<u64>, Vec<String>, u64) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("it listens"));
    let (clock, given_up) = (QuickClock::new(), Arc::default());
    let apps = Arc::new(AppTable::new([app()]).expect("it is the only one"));
    let outlets = Outlets::new(|| true).expect("a client");
    let app = apps.by_id("7").expect("it was just added");
    let sender = Sender::new(outlets, apps, &clock, Arc::clone(&given_up));
    let failures = AtomicU64::new(failures);
    let sink = Wording { url, failures };
    let mut requests = Vec::new();
    let receiver = receive(&listener, statuses, &mut requests);
    let notices = [notice("a/1", 1), notice("a/2", 1)];
    tokio::select! {
        () = sender.tell(&sink, &app, &notices) => {}
        () = receiver => {}
    }
    (clock.pauses(), requests, given_up.load(Ordering::Relaxed))
}

/// Answers request after request, each on a connection of its own.
async fn receive(listener: &TcpListener, statuses: &[u16], requests: &mut Vec<String>) {
    loop {
        let (mut socket, _) = listener.accept().await.expect("somebody connects");
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n{}") {
            let mut bytes = [0; 1_024];
            let read = socket.read(&mut bytes).await.expect("a request");
            assert!(read > 0, "half a request: {request:?}");
            request.push_str(std::str::from_utf8(&bytes[..read]).expect("text"));
        }
        let status = statuses
            .get(requests.len())
            .or_else(|| statuses.last())
            .expect("at least one");
        requests.push(request);
        let answer = format!("HTTP/1.1 {status} Any\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        socket.write_all(answer.as_bytes()).await.expect("it listens");
    }
}

fn app() -> App {
    App::new("7", "k", Secret::new("s"), Policy::default())
}

fn notice(id: &str, bytes: usize) -> Notice {
    Notice {
        id: id.to_owned(),
        app: "7".to_owned(),
        name: "client_event",
        channel: String::new(),
        event: "x".repeat(bytes),
        time_ms: 0,
    }
}

/// Seconds between the tries of five minutes.
const ALL: [u64; 10] = [1, 2, 4, 8, 16, 32, 60, 60, 60, 57];

// Pusher documents, "Webhooks": whatever is not a 2xx is repeated with exponential back-off for five minutes; the same notices
// each time, so that a receiver knows those that it has had.
#[tokio::test]
async fn a_receiver_that_always_fails_is_given_up_after_five_minutes() {
    for status in [500, 404, 301] {
        let (pauses, requests, given_up) = told(&[status], 0).await;
        assert_eq!((pauses.as_slice(), given_up), (&ALL[..], 1), "{status}");
        assert_eq!(Duration::from_secs(pauses.iter().sum()), GIVE_UP);
        assert_eq!(requests.len(), 1 + ALL.len());
        assert!(
            requests[0].contains("x-jackfield-notices: a/1,a/2\r\n"),
            "{}",
            requests[0]
        );
        assert!(requests.iter().all(|request| *request == requests[0]), "{requests:?}");
    }
}

// Pusher documents, "Webhooks": any 2xx ends it, be it to the very last try.
#[tokio::test]
async fn a_success_ends_the_tries() {
    for (statuses, tries) in [(&[200][..], 1), (&[500, 204], 2), (&[500, 302, 404, 299, 500], 4)] {
        let (pauses, requests, given_up) = told(statuses, 0).await;
        assert_eq!((requests.len(), given_up), (tries, 0), "{statuses:?}");
        assert_eq!(pauses, ALL[..tries - 1], "{statuses:?}");
    }
    let mut late = vec![500; ALL.len()];
    late.push(200);
    let (pauses, _, given_up) = told(&late, 0).await;
    assert_eq!((pauses.as_slice(), given_up), (&ALL[..], 0));
}

// ARCHITECTURE.md, "A trap": "webhook: try again". Notices that no plugin words wait as long, and a receiver has its own five
// minutes from then on.
#[tokio::test]
async fn a_plugin_that_always_fails_is_given_up_after_five_minutes() {
    let (pauses, requests, given_up) = told(&[200], u64::MAX).await;
    assert_eq!((pauses.as_slice(), requests.len(), given_up), (&ALL[..], 0, 1));
    let (pauses, requests, given_up) = told(&[500, 200], 2).await;
    assert_eq!((pauses, requests.len(), given_up), (vec![1, 2, 1], 2, 0));
}

#[test]
fn a_batch_is_divided_into_requests_that_can_be_sent() {
    for (bytes, wanted) in [
        (vec![1], vec![1]),
        (vec![PORTION_BYTES, 1], vec![1, 1]),
        (vec![PORTION_BYTES / 2; 5], vec![2, 2, 1]),
        (vec![1, PORTION_BYTES + 1, 1, 1], vec![1, 1, 2]),
    ] {
        let notices: Vec<Notice> = bytes.into_iter().map(|bytes| notice("", bytes)).collect();
        let lengths: Vec<usize> = portions(notices).iter().map(Vec::len).collect();
        assert_eq!(lengths, wanted);
    }
}
