//! What the finder asks, as a person answers it: two names that may have been exchanged are one question, and each answer says
//! what follows from it. Pure.

use std::collections::BTreeMap;

use pestle_domain::signature::Hash;
use pestle_drivers::{
    device::DeviceName,
    find::{
        binding::Fingerprint,
        question::{Answer, Asked, Question},
    },
};

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Names it with all that was seen: an answer to another state of things is not taken.
    pub id: String,
    /// The devices that wait for the answer.
    pub about: Vec<DeviceName>,
    /// What is asked.
    pub words: String,
    /// What was seen.
    pub seen: Vec<Fingerprint>,
    /// It was decided to use nothing; another answer may still be given.
    pub left_alone: bool,
    /// The answers, the likeliest first.
    pub choices: Vec<Choice>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// In what the page sends.
    pub key: &'static str,
    /// On the button.
    pub label: String,
    /// What follows.
    pub follows: String,
    answer: Answer,
}

/// The questions of this moment. `called` is what people call a device.
pub fn cards(
    asked: &BTreeMap<DeviceName, Asked>,
    called: impl Fn(&DeviceName) -> String + Copy,
) -> Vec<Card> {
    let mut cards = Vec::new();
    for (name, one) in asked {
        let partner = partner(&one.question).filter(|with| {
            // Both ask about each other: the first of them asks for both.
            asked.get(*with).is_some_and(|other| {
                other.left_alone == one.left_alone && partner(&other.question) == Some(name)
            })
        });
        if partner.is_some_and(|with| with < name) {
            continue;
        }
        let about: Vec<DeviceName> = [Some(name), partner].into_iter().flatten().cloned().collect();
        let seen: Vec<_> = about.iter().map(|name| asked.get(name)).collect();
        let id = Hash::of(format!("{about:?}{seen:?}").as_bytes()).short();
        let choices = one.question.answers().iter().filter(|answer| {
            // It is so already.
            !(one.left_alone && **answer == Answer::LeaveAlone)
        });
        cards.push(Card {
            id,
            words: one.question.words(name, called),
            seen: about.iter().filter_map(|name| what(&asked.get(name)?.question)).collect(),
            left_alone: one.left_alone,
            choices: choices.map(|answer| choice(*answer, name, &one.question, called)).collect(),
            about,
        });
    }
    cards
}

impl Card {
    /// The answer of this key.
    pub fn answer(&self, key: &str) -> Option<Answer> {
        self.choices.iter().find(|choice| choice.key == key).map(|choice| choice.answer)
    }

    /// Whose question takes it: one word settles both where names follow their devices or nothing was exchanged; where the
    /// cables stay as they are, each name takes what stands there.
    pub fn takes(&self, answer: Answer, asked: &Question) -> &[DeviceName] {
        match (answer, asked) {
            (Answer::FollowTheDevice, _) | (_, Question::PerhapsSwapped { .. }) => &self.about[..1],
            _ => &self.about,
        }
    }
}

/// What stands where another is expected.
fn what(question: &Question) -> Option<Fingerprint> {
    match question {
        Question::OtherDevice { seen, .. }
        | Question::Swapped { seen, .. }
        | Question::Moved { seen, .. } => Some(seen.clone()),
        Question::PerhapsSwapped { .. } => None,
    }
}

fn partner(question: &Question) -> Option<&DeviceName> {
    match question {
        Question::Swapped { with, .. } | Question::PerhapsSwapped { with } => Some(with),
        Question::OtherDevice { .. } | Question::Moved { .. } => None,
    }
}

fn choice(
    answer: Answer,
    name: &DeviceName,
    question: &Question,
    called: impl Fn(&DeviceName) -> String,
) -> Choice {
    let one = called(name);
    let (key, label, follows) = match (answer, question) {
        (Answer::UseWhatIsThere, Question::OtherDevice { .. }) => (
            "use",
            format!("Yes, this is the new {name}"),
            "It is used at once. A scanner has to learn before lots and serial numbers are taken from it."
                .to_owned(),
        ),
        (Answer::UseWhatIsThere, Question::Moved { to, .. }) => {
            ("use", format!("Yes, it is {name}"), format!("{one} is used at USB port {to} from now on."))
        }
        (Answer::UseWhatIsThere, Question::PerhapsSwapped { .. }) => {
            ("use", "Yes, each is in its own socket".to_owned(), "Both are used as before.".to_owned())
        }
        (Answer::UseWhatIsThere, Question::Swapped { with, .. }) => (
            "use",
            "No, the cables stay as they are".to_owned(),
            format!(
                "What stands at each socket is {one} or {} from now on; a scanner has to learn.",
                called(with)
            ),
        ),
        (Answer::FollowTheDevice, Question::Swapped { with, .. } | Question::PerhapsSwapped { with }) => (
            "follow",
            "They were exchanged: the names follow the devices".to_owned(),
            format!("{one} and {} are what they were, each at the other's socket.", called(with)),
        ),
        (Answer::FollowTheDevice, _) => ("follow", "The name follows the device".to_owned(), String::new()),
        (Answer::LeaveAlone, _) => (
            "leave",
            "No, leave it alone".to_owned(),
            format!(
                "Nothing is used as {one} until something else is plugged in, or you answer otherwise here."
            ),
        ),
    };
    Choice { key, label, follows, answer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_drivers::find::device::DeviceClass;

    fn name(text: &str) -> DeviceName {
        DeviceName::new(text)
    }

    fn seen(product: u16) -> Fingerprint {
        let name = format!("Model {product:x}");
        Fingerprint {
            class: DeviceClass::Serial,
            vendor: Some(1),
            product: Some(product),
            serial: None,
            name,
        }
    }

    fn asked(all: &[(&str, Question)]) -> BTreeMap<DeviceName, Asked> {
        let one = |(one, question): &(&str, Question)| {
            (name(one), Asked { question: question.clone(), left_alone: false, there: None })
        };
        all.iter().map(one).collect()
    }

    fn swapped(with: &str, product: u16) -> Question {
        Question::Swapped { with: name(with), seen: seen(product) }
    }

    #[test]
    fn two_names_that_ask_about_each_other_are_one_question_with_one_answer() {
        let questions =
            asked(&[("printer-1", swapped("printer-2", 2)), ("printer-2", swapped("printer-1", 1))]);
        let cards = cards(&questions, DeviceName::to_string);
        assert_eq!(cards.len(), 1);
        let card = &cards[0];
        assert_eq!(card.about, [name("printer-1"), name("printer-2")]);
        let keys: Vec<_> = card.choices.iter().map(|choice| choice.key).collect();
        assert_eq!(keys, ["follow", "use", "leave"]);
        let question = &questions[&name("printer-1")].question;
        assert_eq!(card.takes(Answer::FollowTheDevice, question), &card.about[..1], "one word settles both");
        assert_eq!(card.takes(Answer::UseWhatIsThere, question).len(), 2);
    }

    #[test]
    fn a_question_whose_partner_asks_something_else_stands_for_itself() {
        let other = Question::OtherDevice { bound: seen(1), seen: seen(3) };
        let questions = asked(&[("a", swapped("b", 2)), ("b", other)]);
        assert_eq!(cards(&questions, DeviceName::to_string).len(), 2);
    }

    #[test]
    fn what_has_changed_since_is_another_question() {
        let id = |product| {
            let question = Question::OtherDevice { bound: seen(1), seen: seen(product) };
            cards(&asked(&[("a", question)]), DeviceName::to_string)[0].id.clone()
        };
        assert_eq!(id(2), id(2));
        assert_ne!(id(2), id(3));
    }

    #[test]
    fn what_was_left_alone_offers_the_other_answers() {
        let question = Question::OtherDevice { bound: seen(1), seen: seen(2) };
        let mut questions = asked(&[("a", question)]);
        for one in questions.values_mut() {
            one.left_alone = true;
        }
        let card = &cards(&questions, DeviceName::to_string)[0];
        assert_eq!(card.choices.iter().map(|choice| choice.key).collect::<Vec<_>>(), ["use"]);
        assert_eq!(card.answer("leave"), None);
    }

    #[test]
    fn what_shares_a_line_is_named_with_it() {
        let question = Question::OtherDevice { bound: seen(1), seen: seen(2) };
        let called = |name: &DeviceName| format!("{name} (with door on its line)");
        let card = &cards(&asked(&[("fridge-1", question)]), called)[0];
        assert!(card.words.contains("fridge-1 (with door on its line)"), "{}", card.words);
    }
}
