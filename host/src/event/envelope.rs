//! Taking events out of their envelopes.

use std::borrow::Cow;

use super::{Envelope, Error, Event, EventHeaders, Problem, Record, json_field, structured};

/// The type of a record without a payload whose envelope keeps the type where this record has none:
/// a tombstone says that everything of its key is gone.
pub const TOMBSTONE: &str = "tombstone";

/// The start of the content type of every CloudEvent in structured mode, in whatever format.
const STRUCTURED: &str = "application/cloudevents";

/// Takes the event out of a record. The payload stays as it is, but for structured CloudEvents, whose
/// payload becomes their data.
///
/// # Errors
/// When the record is not in this envelope: it names the record, what is wrong and what to do.
pub fn open<'a>(envelope: &Envelope, record: &Record<'a>) -> Result<Event<'a>, Error> {
    let opened = match envelope {
        Envelope::CloudEvents => cloud_event(record),
        Envelope::Header { name } => header(record, name).map(|kind| unchanged(record, kind)),
        Envelope::JsonField { field } => match record.payload {
            Some(payload) => json_field::find(payload, field),
            None => Ok(Cow::Borrowed(TOMBSTONE)),
        }
        .map(|kind| unchanged(record, kind)),
        Envelope::Topic { event_type } => {
            // Owned, so that an event borrows from its record alone.
            let kind = event_type.clone().map_or(Cow::Borrowed(record.topic), Cow::Owned);
            Ok(unchanged(record, kind))
        }
    };
    opened.map_err(|problem| Error {
        topic: record.topic.to_owned(),
        partition: record.partition,
        offset: record.offset,
        problem,
    })
}

/// The event that is the record as it stands.
fn unchanged<'a>(record: &Record<'a>, kind: Cow<'a, str>) -> Event<'a> {
    Event {
        kind,
        topic: record.topic,
        partition: record.partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key,
        payload: record.payload.map(Cow::Borrowed),
        headers: EventHeaders::Record(record.headers),
    }
}

/// One pass over the headers tells the mode: `ce_type` is binary mode, the content type tells
/// structured mode, as the Kafka Protocol Binding for CloudEvents has it.
fn cloud_event<'a>(record: &Record<'a>) -> Result<Event<'a>, Problem> {
    const TYPE: &str = "ce_type";
    let mut content_type = None;
    for (name, value) in record.headers.iter() {
        if name == TYPE {
            return Ok(unchanged(record, Cow::Borrowed(type_text(TYPE, value)?)));
        }
        if name.eq_ignore_ascii_case("content-type") {
            content_type = value.and_then(|value| std::str::from_utf8(value).ok());
        }
    }
    let Some(payload) = record.payload else {
        return Ok(unchanged(record, Cow::Borrowed(TOMBSTONE)));
    };
    match content_type.and_then(structured_format) {
        Some(format) if format.eq_ignore_ascii_case("+json") => {
            let opened = structured::open(payload, &record.headers)?;
            let headers = opened.headers;
            Ok(Event { payload: opened.payload, headers, ..unchanged(record, opened.kind) })
        }
        Some(_) => Err(Problem::Format { content_type: content_type.unwrap_or_default().to_owned() }),
        None => Err(Problem::HeaderMissing { name: TYPE.to_owned() }),
    }
}

/// What follows `application/cloudevents` in a content type, without its parameters.
fn structured_format(content_type: &str) -> Option<&str> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let start = essence.get(..STRUCTURED.len())?;
    start.eq_ignore_ascii_case(STRUCTURED).then(|| &essence[STRUCTURED.len()..])
}

fn header<'a>(record: &Record<'a>, name: &str) -> Result<Cow<'a, str>, Problem> {
    match record.headers.get(name) {
        Some(value) => type_text(name, value).map(Cow::Borrowed),
        None if record.payload.is_none() => Ok(Cow::Borrowed(TOMBSTONE)),
        None => Err(Problem::HeaderMissing { name: name.to_owned() }),
    }
}

fn type_text<'a>(name: &str, value: Option<&'a [u8]>) -> Result<&'a str, Problem> {
    let wrong = |found| Problem::HeaderNotText { name: name.to_owned(), found };
    match value {
        None | Some([]) => Err(wrong("empty")),
        Some(value) => std::str::from_utf8(value).map_err(|_| wrong("not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Header, Headers};

    fn record<'a>(headers: &'a [Header<'a>], payload: Option<&'a [u8]>) -> Record<'a> {
        let headers = Headers::list(headers);
        Record { topic: "shop", partition: 3, offset: 17, timestamp_ms: 1, key: Some(b"k"), payload, headers }
    }

    /// What a case comes to: type, payload and headers in one line, or the problem.
    fn outcome(envelope: &Envelope, headers: &[Header<'_>], payload: Option<&str>) -> Result<String, String> {
        let record = record(headers, payload.map(str::as_bytes));
        let event = open(envelope, &record).map_err(|error| error.to_string())?;
        assert_eq!((event.topic, event.partition, event.offset, event.key), ("shop", 3, 17, Some(&b"k"[..])));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers: Vec<_> = event
            .headers
            .iter()
            .map(|(name, value)| format!("{name}={}", value.map_or("null".into(), text)))
            .collect();
        let payload = event.payload.as_deref().map_or("null".into(), text);
        Ok(format!("{} | {payload} | {}", event.kind, headers.join(" ")))
    }

    fn check(envelope: &Envelope, headers: &[Header<'_>], payload: Option<&str>, expected: &str) {
        assert_eq!(outcome(envelope, headers, payload).as_deref(), Ok(expected));
    }

    fn check_refused(envelope: &Envelope, headers: &[Header<'_>], payload: Option<&str>, expected: &str) {
        let refusal = outcome(envelope, headers, payload).expect_err(expected);
        assert!(refusal.starts_with("topic shop, partition 3, offset 17: "), "{refusal}");
        assert!(refusal.contains(expected), "{refusal:?} does not contain {expected:?}");
    }

    const STRUCTURED_JSON: Header<'static> =
        ("content-type", Some(b"application/cloudevents+json; charset=UTF-8"));

    // Events of other people's producers must be read in every form that their libraries send.
    #[test]
    fn cloud_events_are_the_same_event_in_both_modes() {
        let envelope = Envelope::CloudEvents;
        let binary: &[Header<'_>] =
            &[("content-type", Some(b"application/json")), ("ce_type", Some(b"paid")), ("x", None)];
        check(&envelope, binary, Some("{}"), "paid | {} | content-type=application/json ce_type=paid x=null");
        let structured = |payload, expected| {
            check(&envelope, &[STRUCTURED_JSON, ("x", Some(b"1"))], Some(payload), expected);
        };
        structured(
            r#"{"specversion":"1.0","type":"paid","datacontenttype":"application/json","data":{"a": 1.0}}"#,
            r#"paid | {"a": 1.0} | ce_specversion=1.0 ce_type=paid content-type=application/json x=1"#,
        );
        structured(
            r#"{"specversion":"1.0","type":"p\u00e4id","data":"text","seq":7,"live":true,"gone":null}"#,
            r#"päid | "text" | ce_specversion=1.0 ce_type=päid ce_seq=7 ce_live=true x=1"#,
        );
        structured(
            r#"{"specversion":"1.0","type":"note","datacontenttype":"text/plain","data":"a\nb"}"#,
            "note | a\nb | ce_specversion=1.0 ce_type=note content-type=text/plain x=1",
        );
        structured(
            r#"{"specversion":"1.0","type":"blob","data_base64":"aGk="}"#,
            "blob | hi | ce_specversion=1.0 ce_type=blob x=1",
        );
        structured(
            r#"{"specversion":"1.0","type":"ping","data":null}"#,
            "ping | null | ce_specversion=1.0 ce_type=ping x=1",
        );
    }

    // A record that is not a CloudEvent must say why, or nobody finds out what to change.
    #[test]
    fn what_is_no_cloud_event_is_refused_with_its_reason() {
        let envelope = Envelope::CloudEvents;
        check_refused(&envelope, &[], Some("{}"), "no header `ce_type`");
        check_refused(&envelope, &[("ce_type", None)], Some("{}"), "but is empty");
        check_refused(&envelope, &[("ce_type", Some(b"\xff"))], Some("{}"), "but is not UTF-8");
        let avro: Header<'_> = ("content-type", Some(b"application/cloudevents+avro"));
        check_refused(&envelope, &[avro], Some("{}"), "application/cloudevents+avro");
        let batch: Header<'_> = ("content-type", Some(b"application/cloudevents-batch+json"));
        check_refused(&envelope, &[batch], Some("[]"), "cloudevents-batch");
        let structured =
            |payload, expected| check_refused(&envelope, &[STRUCTURED_JSON], Some(payload), expected);
        structured("{}", "`specversion` is missing");
        structured(r#"{"specversion":"0.3","type":"a"}"#, "only 1.x");
        structured(r#"{"specversion":"1.0"}"#, "`type` is missing");
        structured(r#"{"specversion":"1.0","type":""}"#, "`type` is empty");
        structured(r#"{"specversion":"1.0","type":"a","data_base64":"!"}"#, "not Base64");
        structured(r#"{"specversion":"1.0","type":"a","data_base64":"","data":1}"#, "only one of them may");
        structured(r#"{"specversion":"1.0","type":"a","source":{}}"#, "the attribute `source`");
        structured("{\n\"type\":", "line 2, column 7");
        structured("[]", "not JSON");
    }

    // The other three envelopes leave the payload and the headers alone.
    #[test]
    fn a_type_is_found_in_a_header_a_field_or_the_topic() {
        let header = Envelope::Header { name: "type".into() };
        check(&header, &[("type", Some(b"paid"))], Some("x"), "paid | x | type=paid");
        check_refused(&header, &[("other", Some(b"paid"))], Some("x"), "no header `type`");

        let field = |field: &str| Envelope::JsonField { field: field.into() };
        check(
            &field("type"),
            &[],
            Some(r#"{"a":[{"type":1}],"type":"paid","#),
            r#"paid | {"a":[{"type":1}],"type":"paid", | "#,
        );
        check(
            &field("m.t"),
            &[],
            Some(r#"{"m":{"a":1,"t":"p\n"}}"#),
            "p\n | {\"m\":{\"a\":1,\"t\":\"p\\n\"}} | ",
        );
        check_refused(&field("type"), &[], Some(r#"{"kind":"paid"}"#), "no field `type`");
        check_refused(&field("m.t"), &[], Some(r#"{"m":7}"#), "no field `m.t`");
        check_refused(&field("type"), &[], Some("[]"), "no field `type`");
        check_refused(&field("type"), &[], Some(r#"{"type":7}"#), "but is a number");
        check_refused(&field("type"), &[], Some(r#"{"type":{"a":1}}"#), "but is an object");
        check_refused(&field("type"), &[], Some("{\"a\":1,\n oops}"), "line 2, column 2");
        check_refused(&field("type"), &[], Some(""), "not JSON");

        check(&Envelope::Topic { event_type: None }, &[], Some("x"), "shop | x | ");
        check(&Envelope::Topic { event_type: Some("paid".into()) }, &[], Some("x"), "paid | x | ");
    }

    // A deletion in a compacted topic is an event too, and has no payload to hold a type.
    #[test]
    fn a_tombstone_without_a_type_is_of_the_type_tombstone() {
        check(&Envelope::CloudEvents, &[], None, "tombstone | null | ");
        check(
            &Envelope::CloudEvents,
            &[STRUCTURED_JSON],
            None,
            "tombstone | null | content-type=application/cloudevents+json; charset=UTF-8",
        );
        check(&Envelope::CloudEvents, &[("ce_type", Some(b"gone"))], None, "gone | null | ce_type=gone");
        check(&Envelope::Header { name: "type".into() }, &[], None, "tombstone | null | ");
        check(&Envelope::JsonField { field: "type".into() }, &[], None, "tombstone | null | ");
        check(&Envelope::Topic { event_type: None }, &[], None, "shop | null | ");
    }

    proptest! {
        // Whatever a topic holds, opening it answers; it never panics.
        #[test]
        fn no_record_makes_an_envelope_panic(
            payload in prop::option::of(prop::collection::vec(any::<u8>(), 0..64)),
            value in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
            name in prop::sample::select(vec!["ce_type", "content-type", "type"]),
        ) {
            let envelopes = [
                Envelope::CloudEvents,
                Envelope::Header { name: "type".into() },
                Envelope::JsonField { field: "a.b".into() },
                Envelope::Topic { event_type: None },
            ];
            let value = value.as_deref();
            for headers in [&[(name, value)][..], &[STRUCTURED_JSON, (name, value)][..]] {
                let record = record(headers, payload.as_deref());
                for envelope in &envelopes {
                    let _ = open(envelope, &record);
                }
            }
        }

        // The field is found wherever it stands, and with whatever it holds.
        #[test]
        fn a_field_is_found_in_any_object(
            before in prop::collection::btree_map("[a-s]{1,4}", any::<Option<f64>>(), 0..4),
            kind in any::<String>(),
        ) {
            let mut object = serde_json::to_value(before).expect("a map of numbers is JSON");
            object["type"] = kind.clone().into();
            let payload = object.to_string();
            let envelope = Envelope::JsonField { field: "type".into() };
            let record = record(&[], Some(payload.as_bytes()));
            prop_assert_eq!(open(&envelope, &record).expect("the type is there").kind, kind);
        }
    }
}
