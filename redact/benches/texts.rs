//! Texts to measure on: everyday prose and code, text full of findings, and input made to hurt.

/// Prose, code and logs without personal data, `bytes` long.
pub(crate) fn clean(bytes: usize) -> String {
    const PARTS: [&str; 6] = [
        "The quarterly review went well, and most of the teams said that the new process helped them to plan ahead. ",
        "Please summarise the attached document in three short paragraphs, and keep the tone friendly but factual.\n",
        "fn merge(left: &[u32], right: &[u32]) -> Vec<u32> {\n    let mut all = Vec::with_capacity(left.len() + right.len());\n    all.extend(left);\n    all\n}\n\n",
        "{\"level\":\"info\",\"status\":200,\"path\":\"/v1/items\",\"took_ms\":12,\"retries\":0,\"cache\":\"hit\"}\n",
        "We compared 14 variants over 3 weeks; the second one was 12% faster, the rest stayed within 0.5% of it. ",
        "for row in table.rows() { total += row.price * row.count; } // sums are checked in the next step\n",
    ];
    cut(PARTS.iter().cycle().copied(), bytes)
}

/// Forty findings in 16 kB of the above, as in mail and tickets.
pub(crate) fn dense(bytes: usize) -> String {
    const HITS: [&str; 8] = [
        "write to ann.lee@example.org, ",
        "call (212) 555-0187 today, ",
        "card 4111 1111 1111 1111 exp 12/27, ",
        "IBAN DE89 3704 0044 0532 0130 00, ",
        "my SSN is 536-22-8726, ",
        "key AKIAIOSFODNN7EXAMPLE, ",
        "from 203.0.113.7, ",
        "mobile +49 30 901820, ",
    ];
    let prose = clean(16 * 1024 / 40 - 26);
    let parts = HITS.iter().cycle().flat_map(|hit| [prose.as_str(), hit]);
    cut(parts, bytes)
}

/// Digits, marks, near misses, escapes and other scripts in turn.
pub(crate) fn adversarial(bytes: usize) -> String {
    const PARTS: [&str; 8] = [
        "1234567890123456 4111 1111 1111 1112 12-34-56 7 8 9 0 1 2 3 4 5 6 7 8 9 ",
        "@@@@ a@b @c.d@e f@g@h.i@@ x@y.1 ",
        "::1:2::3:: a:b:c 00:11:22:33:44:5g 999.999.999.999 1.2.3.4.5 ",
        "password= token: secret=\"${X}\" key: <none> apikey=xxxxxxxx ",
        "日本語の文章と中文字符 １２３４ ",
        "DE00 1234 GB99 XX12 ab12cd34 0x00 bc1q eyJhbGci sk- ghp_ AKIA ",
        "12/31/1999 1999-12-31 31.12.99 2024-02-30 12:34:56 ",
        "\\u0041 \\n %40 &#64; -----BEGIN nothing ",
    ];
    cut(PARTS.iter().cycle().copied(), bytes)
}

/// The first `bytes` of parts, at a character's end.
fn cut<'p>(parts: impl Iterator<Item = &'p str>, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 256);
    for part in parts {
        if text.len() >= bytes {
            break;
        }
        text.push_str(part);
    }
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text.truncate(end);
    text
}
