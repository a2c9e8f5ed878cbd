//! A box that is enrolled anew: what it recorded before still reaches the centre, and no receipt number comes twice.

use pestle_domain::{
    enrolment::Succession,
    signature::SigningKey,
    staff::Role,
    wire::{batch::RefusalReason, message::Answer},
};
use pestle_gateway::testing::{self, TestGateway};
use rcgen::KeyPair;

use super::{centre::committed, whole::Wired};
use crate::platform::client::{Enrolled, claim, enrol, enrolled, request, seed};

fn signing(key: &KeyPair) -> SigningKey {
    SigningKey::from_pkcs8(&key.serialize_der()).unwrap()
}

/// Enrols a box that says it was `before`, with that one's proof or with another's.
async fn again(gateway: &TestGateway, before: &Enrolled, proof: &SigningKey) -> Result<Enrolled, u16> {
    let claim = claim(gateway, 0).await;
    let key = KeyPair::generate().unwrap();
    let mut asked = request(claim.code(), &key, |_| {});
    let mut succession = Succession::sign(
        before.response.identity.device.clone(),
        proof,
        signing(&key).public(),
        &aws_lc_rs::rand::SystemRandom::new(),
    )
    .unwrap();
    succession.key = signing(&before.key).id().clone();
    asked.replaces = Some(succession);
    match enrol(gateway, &asked).await {
        (200, body) => Ok(Enrolled { response: serde_json::from_value(body["data"].clone()).unwrap(), key }),
        (status, _) => Err(status),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_box_recorded_under_its_old_name_is_taken_from_the_new_one() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Manager).await;
    let first = enrolled(&gateway).await;
    assert_eq!((first.response.identity.first_epoch, first.response.identity.earlier.len()), (1, 0));
    let mut old = Wired::new(&gateway, &first).await;
    let opened = old.branch.open(10);
    committed(&old.send(1, opened).await);
    let sold = old.branch.sell("p-1", 2);

    assert_eq!(
        again(&gateway, &first, &super::branch::signing_key()).await.err(),
        Some(422),
        "a forged proof"
    );
    let second = again(&gateway, &first, &signing(&first.key)).await.unwrap();
    let identity = &second.response.identity;
    assert_eq!(identity.earlier, std::slice::from_ref(&first.response.identity.device));
    assert_eq!(identity.first_epoch, 2, "epoch 1 of this branch is taken");
    let stranger = enrolled(&gateway).await;

    // The same facts of the old name's stream: signed with a new key, on the new name's topic.
    let mut legacy = |enrolled: &Enrolled| {
        old.branch.key = signing(&enrolled.key);
        old.branch.batch(opened + 1, sold).1
    };
    let (from_stranger, from_second) = (legacy(&stranger), legacy(&second));
    let mut wired = Wired::new(&gateway, &stranger).await;
    wired.say("up/ledger", from_stranger).await;
    let refused = wired.answer().await;
    assert!(matches!(refused, Answer::Refused { reason: RefusalReason::WrongStream, .. }), "{refused:?}");
    let mut wired = Wired::new(&gateway, &second).await;
    wired.say("up/ledger", from_second.clone()).await;
    assert_eq!(committed(&wired.answer().await), old.branch.head(sold));
    wired.say("up/ledger", from_second).await;
    assert_eq!(committed(&wired.answer().await), old.branch.head(sold), "and counts once");

    // Whoever follows inherits all of it.
    let third = again(&gateway, &second, &signing(&second.key)).await.unwrap();
    assert_eq!(third.response.identity.earlier.len(), 2);
}
