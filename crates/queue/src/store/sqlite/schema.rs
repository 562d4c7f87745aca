//! Tables. One set per day (a *part*), named by the day's number since 1970, so that old days are
//! dropped whole and the live tree stays in the cache; and a few for the whole store.
//!
//! Keys inside a part are ascending (`kid` begins with the time), because with random keys every
//! commit would touch as many pages as it has rows (measured: 4 to 18 times slower). `key_D` alone is
//! not: new keys stand in `new_key` of their arrival until they come into it (`fresh.rs`). `border`
//! says up to which `kid` they have.

use quell_storm::facts::RowState;

/// `user_version` of the files we write. Every released version has a migration test.
pub const FORMAT: i64 = 1;

/// `application_id` of the files we write: "quel".
pub const APPLICATION: i64 = 0x7175_656c;

/// Tables of the whole store.
pub const GLOBAL: &str = "
CREATE TABLE IF NOT EXISTS part   (day INTEGER PRIMARY KEY, filter BLOB, border BLOB);
CREATE TABLE IF NOT EXISTS moved  (kid BLOB PRIMARY KEY, day INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta   (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS storm  (id TEXT PRIMARY KEY, open INTEGER NOT NULL, last_seen INTEGER NOT NULL,
                                   json TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS storm_seen ON storm (last_seen);
CREATE TABLE IF NOT EXISTS evidence (storm TEXT NOT NULL, place INTEGER NOT NULL, at INTEGER NOT NULL,
                                   sample BLOB NOT NULL, PRIMARY KEY (storm, place)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS evidence_at ON evidence (at);
";

/// Tables of one day.
pub fn part(day: i64) -> String {
    format!(
        "
CREATE TABLE IF NOT EXISTS key_{day} (key BLOB PRIMARY KEY, kid BLOB NOT NULL, key_version INTEGER NOT NULL,
    secret_id INTEGER NOT NULL, last_seen INTEGER NOT NULL, copies INTEGER NOT NULL, times BLOB NOT NULL,
    base INTEGER NOT NULL, storm_ended INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arr_{day} (kid BLOB NOT NULL, qid BLOB NOT NULL, source TEXT NOT NULL, reverse_path TEXT NOT NULL,
    envid TEXT, ret_full INTEGER, received INTEGER NOT NULL, size INTEGER NOT NULL, message_id TEXT, by_redirect INTEGER NOT NULL, smtputf8 INTEGER NOT NULL,
    answered INTEGER NOT NULL, open INTEGER NOT NULL, asking INTEGER NOT NULL, release INTEGER, body BLOB, reports INTEGER NOT NULL, new_key BLOB, PRIMARY KEY (kid, qid)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS arr_body_{day} ON arr_{day} (qid) WHERE body IS NOT NULL;
CREATE INDEX IF NOT EXISTS arr_release_{day} ON arr_{day} (release) WHERE open = 0 AND body IS NOT NULL;
CREATE INDEX IF NOT EXISTS arr_later_{day} ON arr_{day} (qid) WHERE qid <> kid;
CREATE TABLE IF NOT EXISTS row_{day} (kid BLOB NOT NULL, rcpt TEXT NOT NULL, qid BLOB NOT NULL, state INTEGER NOT NULL,
    since INTEGER NOT NULL, next INTEGER NOT NULL, tenant TEXT NOT NULL, gateway INTEGER NOT NULL,
    key_version INTEGER NOT NULL, attempts INTEGER NOT NULL, sendings INTEGER NOT NULL, copies INTEGER NOT NULL,
    last_copy INTEGER NOT NULL, times BLOB NOT NULL, status TEXT NOT NULL, extra TEXT,
    report INTEGER NOT NULL,
    PRIMARY KEY (kid, rcpt)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS row_due_{day} ON row_{day} (next) WHERE state < 3;
CREATE INDEX IF NOT EXISTS row_held_{day} ON row_{day} (since) WHERE state = 3;
CREATE INDEX IF NOT EXISTS row_report_{day} ON row_{day} (kid, rcpt) WHERE report = 1;
"
    )
}

/// What removes a day.
pub fn drop_part(day: i64) -> String {
    format!(
        "DROP TABLE key_{day}; DROP TABLE arr_{day}; DROP TABLE row_{day}; DELETE FROM part WHERE day = {day};"
    )
}

/// States as numbers; the partial indexes above rely on the order: to be tried (< 3), held (3),
/// final (> 3).
pub fn state_number(state: RowState) -> i64 {
    match state {
        RowState::Waiting => 0,
        RowState::Dot => 1,
        RowState::Unknown => 2,
        RowState::Held => 3,
        RowState::Delivered => 4,
        RowState::Relayed => 5,
        RowState::Failed => 6,
        RowState::Discarded => 7,
    }
}

/// And back.
pub fn state_of(number: i64) -> Option<RowState> {
    use RowState::*;
    [Waiting, Dot, Unknown, Held, Delivered, Relayed, Failed, Discarded]
        .into_iter()
        .find(|s| state_number(*s) == number)
}
