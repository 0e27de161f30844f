//! One page of all sessions: the program's own first, then the gateway's. Pure.
//!
//! To a caller it is one list that `limit` and `offset` walk through. The program's own rows are known; the gateway's
//! follow them in its own order, less those that were shown already.

use serde_json::{Value, json};

use super::order::ChildQuery;

/// The rows from `offset` on: those of `own`, then those of `page`, which begins at the gateway's row `first`. `None`
/// is a page that was not asked for, or has not come.
pub(super) fn page(
    own: Vec<Value>,
    query: &ChildQuery,
    first: usize,
    mut page: Option<Value>,
    is_own: impl Fn(&str) -> bool,
) -> Value {
    let own_count = own.len();
    let mut rows: Vec<Value> = own.into_iter().skip(query.offset).take(query.limit).collect();
    let own_end = query.offset + rows.len();
    let others = match page.as_mut().and_then(|page| page.get_mut("sessions")).map(Value::take) {
        Some(Value::Array(others)) => others,
        Some(_) | None => Vec::new(),
    };
    let (has_more, next) = if own_end < own_count {
        (true, own_end)
    } else if query.own {
        (false, own_end)
    } else {
        let has_more = match &page {
            Some(page) => page.get("hasMore").and_then(Value::as_bool) == Some(true),
            // It may hold more, and is waited for when it is all that is asked for.
            None => !rows.is_empty(),
        };
        (has_more, own_count + first + others.len())
    };
    rows.extend(others.into_iter().filter(|row| !row.get("key").and_then(Value::as_str).is_some_and(&is_own)));
    let mut answer = json!({ "count": rows.len(), "sessions": rows, "hasMore": has_more });
    if has_more {
        answer["nextOffset"] = json!(next);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(keys: &[&str]) -> Vec<Value> {
        keys.iter().map(|key| json!({ "key": key })).collect()
    }

    fn query(limit: usize, offset: usize) -> ChildQuery {
        let fields = json!({ "limit": limit, "offset": offset });
        ChildQuery::from_json(fields.as_object().cloned().expect("fields")).expect("a query")
    }

    /// The keys, and where the next page begins.
    fn shown(query: &ChildQuery, first: usize, others: Option<Value>) -> (Vec<String>, Option<u64>) {
        let answer = page(rows(&["a", "b", "c"]), query, first, others, |key| ["a", "b", "c"].contains(&key));
        let keys = answer["sessions"].as_array().expect("rows").iter();
        assert_eq!(answer["hasMore"], json!(answer.get("nextOffset").is_some()));
        (keys.map(|row| row["key"].as_str().expect("a key").to_owned()).collect(), answer["nextOffset"].as_u64())
    }

    #[test]
    fn own_rows_come_first_and_once() {
        let others = || Some(json!({ "sessions": rows(&["x", "b", "y"]), "hasMore": false }));
        let (keys, next) = shown(&query(100, 0), 0, others());
        assert_eq!((keys, next), (["a", "b", "c", "x", "y"].map(str::to_owned).to_vec(), None));
        let (keys, next) = shown(&query(2, 0), 0, None);
        assert_eq!((keys, next), (["a", "b"].map(str::to_owned).to_vec(), Some(2)));
    }

    #[test]
    fn a_page_counts_the_gateways_rows_also_where_they_are_not_shown() {
        let others = Some(json!({ "sessions": rows(&["b", "x"]), "hasMore": true }));
        let (keys, next) = shown(&query(3, 2), 0, others);
        assert_eq!((keys, next), (["c", "x"].map(str::to_owned).to_vec(), Some(5)));
        let others = Some(json!({ "sessions": rows(&["y"]), "hasMore": false }));
        let (keys, next) = shown(&query(3, 5), 2, others);
        assert_eq!((keys, next), (["y"].map(str::to_owned).to_vec(), None));
    }

    #[test]
    fn a_page_that_has_not_come_may_hold_more_until_it_is_asked_for_alone() {
        assert_eq!(shown(&query(100, 0), 0, None).1, Some(3));
        assert_eq!(shown(&query(100, 3), 0, None), (Vec::new(), None));
    }

    #[test]
    fn a_program_that_wants_its_own_gets_only_those() {
        let own = ChildQuery { own: true, ..query(100, 0) };
        assert_eq!(shown(&own, 0, None), (["a", "b", "c"].map(str::to_owned).to_vec(), None));
    }
}
