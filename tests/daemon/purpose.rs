//! What a camera is there for: it tells of that and of nothing else.

use super::support::falld::{Subscriber, until};
use super::support::site::Site;
use super::{broker, hold, state, value};
use serde_json::json;
use toml::Value;

fn everywhere() -> Value {
    [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]].map(|corner| Value::from(corner.to_vec())).to_vec().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_before_a_childs_bed_names_the_place_that_is_climbed_and_tells_of_no_fall() {
    let (_folder, mosquitto) = broker();
    let mut events = Subscriber::new(mosquitto.port, "falld/house/+/event").await;
    let mut states = Subscriber::new(mosquitto.port, "falld/house/+/state").await;
    // Somebody walks, and falls at the end.
    let mut site = Site::playing(mosquitto.port, "fall.mp4");
    site.anxious();
    site.set("camera.room.falls", "never");
    site.set("camera.room.climbs", "places");
    site.set("camera.room.climb.stage", everywhere());
    site.set("camera.hall.source", "/dev/video99");
    let falld = site.start();
    let hall = state(&mut states, "hall", |_| true).await;
    assert_eq!(hall["watches"], json!(["fall", "climb"]));
    let climb = value(&events.next().await);
    hold("event", &climb);
    assert_eq!((&climb["type"], &climb["place"]), (&"climb".into(), &"stage".into()), "{climb:#}");
    until("the film has ended", || falld.said("camera ended") > 0).await;
    let shown = state(&mut states, "room", |state| state["health"] == "ended").await;
    hold("state", &shown);
    assert_eq!((&shown["watches"], &shown["fall"]), (&json!(["climb"]), &"clear".into()));
    assert!(!falld.log().contains("alert raised: fall"), "{}", falld.log());
    let watches = |class: &str| falld.number(&format!("falld_camera_watches{{camera=\"room\",class=\"{class}\"}}"));
    assert_eq!((watches("fall"), watches("climb")), (0.0, 1.0));
    falld.stop();
}
