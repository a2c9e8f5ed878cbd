//! Imports take a file whole or not at all.

use pestle_domain::{gs1::Gtin, staff::Role};
use pestle_gateway::{admin::Admin, identity::password, snapshot, testing};
use serde_json::Value;

use super::client::{branch, signed_in, tenant, url};

fn gtin(number: u32) -> Gtin {
    Gtin::with_check_digit(format!("09520123{number:05}").as_bytes()).unwrap()
}

fn article(number: u32) -> String {
    format!("p{number},{},\"Ibuprofen 400 mg, {number} pcs\",4.99,EUR,7,general,ambient\n", gtin(number))
}

const HEADER: &str = "id,gtins,name,price,currency,tax_percent,supply,storage\n";

#[tokio::test]
async fn a_catalogue_is_imported_whole_or_not_at_all_and_can_be_searched() {
    let gateway = testing::gateway().await;
    let (client, token) = signed_in(&gateway, Role::Assistant).await;
    let admin = Admin::connect(&gateway.running.app.config).await.unwrap();
    let list = async |query: &str| -> Value {
        let address = url(&gateway, &format!("/api/v1/products?{query}"));
        client.get(address).bearer_auth(&token).send().await.unwrap().json().await.unwrap()
    };

    let bad = format!("{HEADER}{}p2,123,B,1.00,EUR,7,general,ambient\n", article(1));
    let said = admin.catalogue_import(&tenant(), bad.as_bytes()).await.unwrap_err().to_string();
    assert!(said.starts_with("line 3: gtins: 123"), "{said}");
    assert_eq!(list("").await["meta"]["total_items"], 0);

    let good = format!("{HEADER}{}{}", article(1), article(2));
    admin.catalogue_import(&tenant(), good.as_bytes()).await.unwrap();
    assert_eq!(list("").await["meta"]["total_items"], 2);
    assert_eq!(list("q=ibuprofen%201%20pcs").await["data"][0]["product_id"], "p1");
    assert_eq!(list("q=%25").await["meta"]["total_items"], 0);
    assert_eq!(list(&format!("gtin={}", gtin(2))).await["data"][0]["product_id"], "p2");
    assert_eq!(list("gtin=1").await["error"], "VALIDATION");

    // An article may take over new numbers, but not one of an article that is not in the file.
    let stolen = format!("{HEADER}p3,{},C,1.00,EUR,7,general,ambient\n", gtin(1));
    let said = admin.catalogue_import(&tenant(), stolen.as_bytes()).await.unwrap_err().to_string();
    assert!(said.contains("belongs to an article"), "{said}");
    assert_eq!(list("").await["meta"]["total_items"], 2);
}

#[tokio::test]
async fn staff_and_recalls_reach_the_branch_they_are_meant_for() {
    let gateway = testing::gateway().await;
    signed_in(&gateway, Role::Admin).await;
    let admin = Admin::connect(&gateway.running.app.config).await.unwrap();
    admin.catalogue_import(&tenant(), format!("{HEADER}{}", article(1)).as_bytes()).await.unwrap();
    let recalls = "reference,product,lot,reason,issued\nR-1,p1,A12,Glass,2026-11-01\n";
    admin.recall_import(&tenant(), recalls.as_bytes()).await.unwrap();
    admin.recall_import(&tenant(), recalls.as_bytes()).await.unwrap();
    let staff = "id,name,role,pin,branches,valid_until\nada,Ada,assistant,2468,,\ntom,Tom,technician,1357,north,2027-06-30\n";
    admin.staff_import(&tenant(), staff.as_bytes()).await.unwrap();
    let nowhere = "id,name,role,pin,branches,valid_until\npia,Pia,pharmacist,8642,nowhere,\n";
    let said = admin.staff_import(&tenant(), nowhere.as_bytes()).await.unwrap_err().to_string();
    assert_eq!(said, "there is no branch \"nowhere\"");

    let mut tx = gateway.running.app.db.tenant(&tenant()).begin_one_moment().await.unwrap();
    let snapshot = snapshot::store::gather(&mut tx, &tenant(), &branch()).await.unwrap().unwrap();
    assert_eq!((snapshot.recalls.len(), snapshot.staff.len()), (1, 2));
    assert!(password::verify("2468", &snapshot.staff[0].pin_verifier));
}
