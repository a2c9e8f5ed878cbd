//! What a branch fetches to work by itself.

use pestle_domain::{
    signature::{Hash, Signature},
    snapshot::{HASH_HEADER, KEY_HEADER, SIGNATURE_HEADER, Snapshot, VERSION_HEADER, statement},
    staff::Role,
};
use pestle_gateway::{catalogue, testing};
use reqwest::{StatusCode, header};

use super::client::{branch, enrolled, seed, tenant, url};

const PATH: &str = "/api/v1/device/snapshot";

async fn import(gateway: &testing::TestGateway, price: &str) {
    let csv = format!(
        "id,gtins,name,price,currency,tax_percent,supply,storage\np1,09520123000012,A,{price},EUR,7,general,ambient\n"
    );
    let csv = with_check_digit(&csv);
    let products = catalogue::import::products(csv.as_bytes()).unwrap();
    let db = &gateway.running.app.db;
    let mut tx = db.tenant(&tenant()).begin().await.unwrap();
    catalogue::store::put(&mut tx, &tenant(), &products).await.unwrap();
    tx.commit().await.unwrap();
}

fn with_check_digit(csv: &str) -> String {
    let gtin = pestle_domain::gs1::Gtin::with_check_digit(b"0952012300001").unwrap();
    csv.replace("09520123000012", &gtin.to_string())
}

#[tokio::test]
async fn a_box_gets_a_signed_whole_and_hears_when_nothing_changed() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    import(&gateway, "2.49").await;
    let north = enrolled(&gateway).await;
    let client = north.https(&gateway);
    let answer = client.get(url(&gateway, PATH)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let headers = answer.headers().clone();
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let json = zstd::decode_all(&*answer.bytes().await.unwrap()).unwrap();
    let hash = Hash::of(&json);
    assert_eq!(text(HASH_HEADER), hash.to_string());
    let snapshot: Snapshot = serde_json::from_slice(&json).unwrap();
    assert_eq!((snapshot.products.len(), &*snapshot.profile.name), (1, "North Street"));
    assert_eq!(text(VERSION_HEADER), snapshot.version.to_string());
    let key = &north.response.identity.centre_keys[0];
    assert_eq!(text(KEY_HEADER), key.id().to_string());
    let signature = Signature::try_from(text(SIGNATURE_HEADER)).unwrap();
    key.verify(&statement(&tenant(), &branch(), snapshot.version, &hash), &signature).unwrap();

    let etag = text("etag");
    let again = || client.get(url(&gateway, PATH)).header(header::IF_NONE_MATCH, &etag).send();
    assert_eq!(again().await.unwrap().status(), StatusCode::NOT_MODIFIED);
    import(&gateway, "2.59").await;
    let newer = again().await.unwrap();
    assert_eq!(newer.status(), StatusCode::OK);
    let version: u64 = newer.headers()[VERSION_HEADER].to_str().unwrap().parse().unwrap();
    assert!(version > snapshot.version);
}

#[tokio::test]
async fn a_box_that_has_the_version_before_gets_what_leads_to_the_current_one_and_another_gets_the_whole() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    import(&gateway, "2.49").await;
    let north = enrolled(&gateway).await;
    let client = north.https(&gateway);
    let before = client.get(url(&gateway, PATH)).send().await.unwrap();
    let version = before.headers()[VERSION_HEADER].to_str().unwrap().to_owned();
    let before = zstd::decode_all(&*before.bytes().await.unwrap()).unwrap();
    let delta = |from: String, hash: Hash| {
        client.get(url(&gateway, &format!("{PATH}/delta?from={from}&hash={hash}"))).send()
    };
    let known = Hash::of(&before);
    assert_eq!(delta(version.clone(), known).await.unwrap().status(), StatusCode::NOT_MODIFIED);
    import(&gateway, "2.59").await;
    let answer = delta(version.clone(), known).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let headers = answer.headers().clone();
    let packed = answer.bytes().await.unwrap();
    let mut decoder = zstd::stream::read::Decoder::with_ref_prefix(&*packed, &before).unwrap();
    let mut after = Vec::new();
    std::io::Read::read_to_end(&mut decoder, &mut after).unwrap();
    let hash = Hash::of(&after);
    assert_eq!(headers[HASH_HEADER].to_str().unwrap(), hash.to_string());
    let whole = client.get(url(&gateway, PATH)).send().await.unwrap();
    assert_eq!(whole.headers()["etag"], headers["x-pestle-whole-etag"]);
    assert_eq!(zstd::decode_all(&*whole.bytes().await.unwrap()).unwrap(), after);
    let snapshot: Snapshot = serde_json::from_slice(&after).unwrap();
    let signature = Signature::try_from(headers[SIGNATURE_HEADER].to_str().unwrap().to_owned()).unwrap();
    let key = &north.response.identity.centre_keys[0];
    key.verify(&statement(&tenant(), &branch(), snapshot.version, &hash), &signature).unwrap();
    // The same version with other bytes, and one that nobody keeps.
    for (from, hash) in [(version, Hash::of(b"else")), ("99".into(), known)] {
        assert_eq!(delta(from, hash).await.unwrap().status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_fetch_that_was_cut_off_goes_on_where_it_ended() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    import(&gateway, "2.49").await;
    let north = enrolled(&gateway).await;
    let client = north.https(&gateway);
    let whole = client.get(url(&gateway, PATH)).send().await.unwrap();
    let etag = whole.headers()["etag"].clone();
    let whole = whole.bytes().await.unwrap();
    let rest = |etag: header::HeaderValue| {
        client
            .get(url(&gateway, PATH))
            .header(header::RANGE, "bytes=10-")
            .header(header::IF_RANGE, etag)
            .send()
    };
    let part = rest(etag).await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], format!("bytes 10-{}/{}", whole.len() - 1, whole.len()));
    assert_eq!(part.bytes().await.unwrap(), whole.slice(10..));
    // Of another version the whole comes.
    let other = rest(header::HeaderValue::from_static("\"other\"")).await.unwrap();
    assert_eq!((other.status(), other.bytes().await.unwrap()), (StatusCode::OK, whole));
}
