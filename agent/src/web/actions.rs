//! What a page or a machine sends, as commands, and their answers as JSON.
//!
//! An answer is `{"success":true,"data":…,"message":…}` or
//! `{"success":false,"error":"CODE","message":…,"status_code":…,"request_id":…,"details":null}`, as at the centre.

use axum::{
    Json,
    body::Bytes,
    extract::{Extension, Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use pestle_domain::{
    ids::{ActId, PersonId, ProductId, TillId},
    money::{Currency, Money},
    personal::PatientDetails,
    sale::LineId,
    units::{Day, Quantity},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use uuid::Uuid;

use crate::{
    counter::{
        command::{Answer, CashWay, Command, DateWord, Pin, Refused, Request, StationId, Why},
        handle::Counter,
        view::shown,
    },
    spool::machine::{JobId, Word},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    staff: String,
    pin: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    act: ActId,
    /// As typed: `100.00`.
    float: String,
    #[serde(default)]
    date_confirmed: bool,
    /// Typed, where the date on the page is wrong.
    today: Option<Day>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfirmDate {
    today: Day,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Close {
    act: ActId,
    /// As typed.
    counted: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scan {
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    product: ProductId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetQuantity {
    line: LineId,
    quantity: Quantity,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Void {
    line: LineId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lot {
    line: Option<LineId>,
    lot: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pay {
    act: ActId,
    /// What the basket came to on the page.
    total: Money,
    /// As typed.
    tendered: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    act: ActId,
    way: CashWay,
    /// As typed.
    amount: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drawer {
    act: ActId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Register {
    act: ActId,
    details: PatientDetails,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Amend {
    act: ActId,
    person: PersonId,
    details: PatientDetails,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    act: ActId,
    product: ProductId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Print {
    jobs: Vec<u64>,
    word: PrintWord,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum PrintWord {
    CameOut,
    PrintCopy,
    GiveUp,
}

/// Nothing to say: `{}` or an empty body.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Nothing {}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| Refused::new(Why::Validation, format!("The request cannot be read: {error}.")))
}

fn amount(text: &str, currency: Option<Currency>) -> Result<Money, Refused> {
    let currency = currency.ok_or_else(|| {
        Refused::new(
            Why::Unavailable,
            "This box has no catalogue yet, and so no currency. Wait until it has come.",
        )
    })?;
    Money::parse(text, currency).map_err(|error| {
        let mut text = error.to_string();
        text.push('.');
        Refused::new(Why::Validation, text)
    })
}

fn patient(details: PatientDetails) -> Result<PatientDetails, Refused> {
    details.checked().map_err(|bad| Refused::new(Why::Validation, format!("That cannot be: {bad}.")))
}

/// Reads an action's body. Pure: the currency is the branch's.
///
/// # Errors
/// An unknown action, or a body that it does not take.
pub fn command(action: &str, body: &[u8], currency: Option<Currency>) -> Result<Command, Refused> {
    Ok(match action {
        "sign-in" => {
            let SignIn { staff, pin } = read(body)?;
            Command::SignIn { staff, pin: Pin(pin.into()) }
        }
        "sign-out" => read::<Nothing>(body).map(|_| Command::SignOut)?,
        "open" => {
            let Open { act, float, date_confirmed, today } = read(body)?;
            let date = match (date_confirmed, today) {
                (false, _) => DateWord::Silent,
                (true, None) => DateWord::AsShown,
                (true, Some(today)) => DateWord::Is(today),
            };
            Command::OpenTill { act, float: amount(&float, currency)?, date }
        }
        "confirm-date" => Command::ConfirmDate { date: DateWord::Is(read::<ConfirmDate>(body)?.today) },
        "close" => {
            let Close { act, counted } = read(body)?;
            Command::CloseTill { act, counted: amount(&counted, currency)? }
        }
        "scan" => Command::Scan { bytes: read::<Scan>(body)?.code.into_bytes() },
        "add" => Command::Add { product: read::<Add>(body)?.product },
        "quantity" => {
            let SetQuantity { line, quantity } = read(body)?;
            Command::SetQuantity { line, quantity }
        }
        "void" => Command::Void { line: read::<Void>(body)?.line },
        "void-all" => read::<Nothing>(body).map(|_| Command::VoidAll)?,
        "lot" => {
            let Lot { line, lot } = read(body)?;
            Command::ChooseLot { line, lot: lot.into() }
        }
        "dismiss" => read::<Nothing>(body).map(|_| Command::Dismiss)?,
        "pay" => {
            let Pay { act, total, tendered } = read(body)?;
            Command::Pay { act, total, tendered: amount(&tendered, currency)? }
        }
        "cash" => {
            let Move { act, way, amount: typed, reason } = read(body)?;
            Command::MoveCash { act, way, amount: amount(&typed, currency)?, reason }
        }
        "drawer" => Command::OpenDrawer { act: read::<Drawer>(body)?.act },
        "patient" => {
            let Register { act, details } = read(body)?;
            Command::RegisterPatient { act, details: patient(details)? }
        }
        "amend-patient" => {
            let Amend { act, person, details } = read(body)?;
            Command::AmendPatient { act, person, details: patient(details)? }
        }
        "shelf-label" => {
            let Label { act, product } = read(body)?;
            Command::ShelfLabel { act, product }
        }
        "reprint" => read::<Nothing>(body).map(|_| Command::Reprint)?,
        "print" => {
            let Print { jobs, word } = read(body)?;
            let word = match word {
                PrintWord::CameOut => Word::CameOut,
                PrintWord::PrintCopy => Word::PrintCopy,
                PrintWord::GiveUp => Word::GiveUp,
            };
            Command::AnswerPrints { jobs: jobs.into_iter().map(JobId).collect(), word }
        }
        _ => return Err(Refused::new(Why::NotFound, "There is no such action at a till.")),
    })
}

/// `POST /till/{till}/{action}`.
pub async fn act(
    State(counter): State<Counter>,
    Extension(station): Extension<StationId>,
    Path((till, action)): Path<(TillId, String)>,
    body: Bytes,
) -> Response {
    let currency = counter.shop().map(|shop| shop.profile.currency);
    let answer = match command(&action, &body, currency) {
        Ok(command) => counter.ask(Request { till, station, command }).await,
        Err(refused) => Err(refused),
    };
    respond(answer)
}

fn respond(answer: Answer) -> Response {
    match answer {
        Ok(said) => {
            Json(json!({"success": true, "data": said.done, "message": said.message})).into_response()
        }
        Err(refused) => refusal(&refused),
    }
}

/// A refusal as an answer.
pub fn refusal(refused: &Refused) -> Response {
    let (code, status) = refused.why.code();
    let body = json!({
        "success": false,
        "error": code,
        "message": refused.message,
        "status_code": status,
        "request_id": Uuid::now_v7(),
        "details": null,
    });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(body)).into_response()
}

/// `GET /till/{till}/state`.
pub async fn state(
    State(counter): State<Counter>,
    Extension(station): Extension<StationId>,
    Path(till): Path<TillId>,
) -> Response {
    match counter.watch(&till) {
        Some(view) => {
            let view = view.borrow().seen_by(&station);
            Json(&view).into_response()
        }
        None => refusal(&Refused::new(Why::NotFound, "This branch has no such till.")),
    }
}

/// What is searched for.
#[derive(Debug, Deserialize)]
pub struct Search {
    /// Words of the name.
    #[serde(default)]
    q: String,
}

/// `GET /till/{till}/search?q=…`.
pub async fn search(
    State(counter): State<Counter>,
    Extension(station): Extension<StationId>,
    Path(till): Path<TillId>,
    Query(search): Query<Search>,
) -> Response {
    let signed_in = counter.watch(&till).and_then(|view| view.borrow().station.clone());
    if signed_in != Some(station) {
        let text = "Nobody is signed in at this screen. Sign in first.";
        return refusal(&Refused::new(Why::Authentication, text));
    }
    let hits: Vec<_> = counter
        .search(&search.q)
        .into_iter()
        .map(|hit| {
            json!({
                "product": hit.product, "name": hit.name, "price": hit.price, "shown": shown(&hit.price),
                "sold_here": hit.sold_here,
            })
        })
        .collect();
    Json(json!({"success": true, "data": hits, "message": ""})).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(action: &str, body: &str, expected: Result<Command, Why>) {
        let found = command(action, body.as_bytes(), Some(Currency::GBP)).map_err(|refused| refused.why);
        assert_eq!(found, expected, "{action} {body}");
    }

    #[test]
    fn each_action_takes_its_body_and_nothing_else() {
        let act = ActId(Uuid::nil());
        let total = Money::new(1_998, Currency::GBP);
        let pay = Command::Pay { act, total, tendered: Money::new(2_000, Currency::GBP) };
        let body = |tendered: &str| json!({"act": act, "total": total, "tendered": tendered});
        check("pay", &body("20").to_string(), Ok(pay));
        check("pay", &body("20.001").to_string(), Err(Why::Validation));
        check("pay", &json!({"act": act, "tendered": "20"}).to_string(), Err(Why::Validation));
        let mut discount = body("20");
        discount["discount"] = json!(5);
        check("pay", &discount.to_string(), Err(Why::Validation));
        let date = DateWord::Is("2026-11-21".parse().unwrap());
        check("confirm-date", r#"{"today":"2026-11-21"}"#, Ok(Command::ConfirmDate { date }));
        check("confirm-date", r#"{"today":"21.11.2026"}"#, Err(Why::Validation));
        check("pay", "", Err(Why::Validation));
        let amount = Money::new(5_000, Currency::GBP);
        let moved = Command::MoveCash { act, way: CashWay::Out, amount, reason: "to the safe".into() };
        let body = json!({"act": act, "way": "out", "amount": "50", "reason": "to the safe"});
        check("cash", &body.to_string(), Ok(moved));
        check("dismiss", "", Ok(Command::Dismiss));
        check("dismiss", "{}", Ok(Command::Dismiss));
        check("scan", "{\"code\":\"10A\\u001d217\"}", Ok(Command::Scan { bytes: b"10A\x1d217".to_vec() }));
        let product: ProductId = "ibuprofen".parse().unwrap();
        let body = json!({"act": act, "product": "ibuprofen"}).to_string();
        check("shelf-label", &body, Ok(Command::ShelfLabel { act, product }));
        let word = Command::AnswerPrints { jobs: vec![JobId(3), JobId(5)], word: Word::PrintCopy };
        check("print", r#"{"jobs":[3,5],"word":"print_copy"}"#, Ok(word));
        check("refund", "{}", Err(Why::NotFound));
        check("void", "not json", Err(Why::Validation));
    }
}
