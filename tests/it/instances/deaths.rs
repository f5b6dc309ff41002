//! Instances die without a word, one shortly after the other: whoever is left tells of it, once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::redis_way;
use crate::harness::brokers::Broker;
use crate::harness::client::{Client, Heard, data};
use crate::harness::fleet::{Fleet, learns};
use crate::harness::http::DEVELOPMENT;
use crate::harness::load::Load;
use crate::harness::node::Node;
use crate::harness::server::Setup;
use crate::harness::wait::within;

const HALL: &str = "presence-hall";

/// Users of one connection at the first instance to die.
const LONELY: usize = 160;
/// Users who have a second connection, at the next to die…
const TWICE: usize = 20;
/// …and at the one that is left.
const SAFE: usize = 20;
/// Channels of which every other one has a subscriber at the instance that is left.
const ROOMS: usize = 20;

// The one who should tell of the first death is dead as well before it is known.
#[tokio::test]
async fn two_deaths_in_a_row_are_told_once_by_whoever_is_left() {
    two_deaths(Duration::from_millis(1_500)).await;
}

// The one who should tell of the first death dies when the others think that it will.
#[tokio::test]
async fn a_death_is_told_though_its_teller_dies_over_it() {
    two_deaths(Duration::from_millis(4_500)).await;
}

async fn two_deaths(between: Duration) {
    let redis = Broker::redis().await;
    let mut receiver = Node::start("receiver", &[DEVELOPMENT.key, DEVELOPMENT.secret]);
    let port = receiver.sees(&json!({ "saw": "listening" })).await["port"].clone();
    let settings =
        format!("max_presence_members_per_channel = 1000\n[[apps.webhooks]]\nurl = \"http://127.0.0.1:{port}/\"");
    let setup = || redis_way(&redis).setup(Setup::default().app(&settings).with_metrics());
    let mut fleet = Fleet::of(vec![setup(), setup(), setup()]).await;
    let mut ann = Client::connect(fleet.port(0)).await;
    ann.join(HALL, "ann").await;

    let names = |kind: &str, count: usize| (0..count).map(|n| format!("{kind}-{n}")).collect::<Vec<_>>();
    let (lonely, twice, safe) = (names("lonely", LONELY), names("twice", TWICE), names("safe", SAFE));
    let first = [&lonely[..], &twice, &safe].concat();
    let _here = members(fleet.port(0), &safe).await;
    let _second = members(fleet.port(1), &twice).await;
    let _first = members(fleet.port(2), &first).await;
    let _rooms = rooms(&fleet).await;
    let everybody = 1 + first.len();
    let wanted = json!({ "occupied": true, "user_count": everybody, "subscription_count": everybody + SAFE + TWICE });
    for instance in 0..3 {
        learns(
            &mut fleet.publisher(instance).await,
            &format!("channels/{HALL}"),
            &wanted,
        )
        .await;
    }
    let mut told = Told::default();
    told.hear(&mut receiver, |told| {
        told.added.len() == everybody && told.rooms.len() == ROOMS + 1
    })
    .await;

    let load = Load::start("room", &[fleet.port(0)], &[fleet.port(0)]).await;
    let died = Instant::now();
    drop(fleet.servers.remove(2));
    tokio::time::sleep(between).await;
    drop(fleet.servers.remove(1));
    let gone: BTreeSet<String> = [lonely, twice].concat().into_iter().collect();
    left_once(&mut ann, &gone).await;
    let heard = died.elapsed();
    let here: Vec<Value> = ["ann".to_owned()]
        .iter()
        .chain(&sorted(safe))
        .map(|id| json!({ "id": id }))
        .collect();
    let mut backend = fleet.publisher(0).await;
    learns(
        &mut backend,
        &format!("channels/{HALL}/users"),
        &json!({ "users": here }),
    )
    .await;
    told.hear(&mut receiver, |told| {
        told.removed.len() == gone.len() && told.vacated() == ROOMS / 2
    })
    .await;
    eprintln!(
        "two deaths: {} members gone after {heard:?}, webhooks told after {:?}; {:?}",
        gone.len(),
        died.elapsed(),
        load.end().await
    );
    // What comes later is told later, so nothing more of the hall is on its way.
    let mut bob = Client::connect(fleet.port(0)).await;
    bob.join("presence-next", "bob").await;
    told.hear(&mut receiver, |told| told.added.contains("bob")).await;
    assert_eq!(told.removed, gone);
    ann.ping().await;
    ann.expect("pusher:pong").await;
}

async fn members(port: u16, users: &[String]) -> Vec<Client> {
    join_all(users.iter().map(|user| async move {
        let mut client = Client::connect(port).await;
        let channel_data = json!({ "user_id": user }).to_string();
        client.ask_as(HALL, &channel_data).await;
        client
    }))
    .await
}

async fn rooms(fleet: &Fleet) -> Vec<Client> {
    let mut clients = Vec::new();
    for instance in [0, 2] {
        let mut client = Client::connect(fleet.port(instance)).await;
        for number in (0..ROOMS).step_by(if instance == 0 { 2 } else { 1 }) {
            client.subscribe(&format!("room-{number}")).await;
        }
        clients.push(client);
    }
    clients
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}

/// Hears of the end of each of these users, and of nobody else's, once. Whatever came before is of their coming.
async fn left_once(ann: &mut Client, gone: &BTreeSet<String>) {
    let mut left = BTreeSet::new();
    let leaving = async {
        while left.len() < gone.len() {
            let message = match ann.listen().await {
                Heard::Text(message) => message,
                other => panic!("heard {other:?}"),
            };
            if message["event"] == "pusher_internal:member_removed" {
                let user = data(&message)["user_id"].as_str().expect("an id").to_owned();
                assert!(gone.contains(&user), "{user} is still here");
                assert!(left.insert(user), "{message} came twice");
            } else {
                assert_eq!(message["event"], "pusher_internal:member_added");
                assert!(left.is_empty(), "{message} came after somebody had left");
            }
        }
    };
    within(GHOST, "everybody who is gone to leave", leaving).await;
}

/// What the app's server was told so far.
#[derive(Default)]
struct Told {
    added: BTreeSet<String>,
    removed: BTreeSet<String>,
    /// Each channel with whether it is occupied.
    rooms: BTreeMap<String, bool>,
}

impl Told {
    /// Takes webhooks until it is enough; each one has to be news.
    async fn hear(&mut self, receiver: &mut Node, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            let webhook = receiver.sees(&json!({ "saw": "webhook" })).await;
            assert_eq!(webhook["valid"], true, "{webhook}");
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let (channel, event) = (text(&webhook["channel"]), &webhook["event"]);
            let news = match webhook["name"].as_str().expect("a name") {
                "member_added" => self.added.insert(text(&event["user_id"])),
                "member_removed" => self.removed.insert(text(&event["user_id"])),
                "channel_occupied" => self.rooms.insert(channel, true) != Some(true),
                "channel_vacated" => self.rooms.insert(channel, false) == Some(true),
                _ => panic!("{webhook}"),
            };
            assert!(news, "{webhook} was told twice");
        }
    }

    fn vacated(&self) -> usize {
        self.rooms.values().filter(|occupied| !**occupied).count()
    }
}

/// No member is listed for longer after its instance has died; the later of two deaths counts.
const GHOST: Duration = Duration::from_secs(12);
