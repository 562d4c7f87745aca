//! Pictures as text: elements written by hand, everything that comes from mail escaped.

use std::fmt::{self, Write as _};

/// `text` as text or as an attribute's value.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A picture being drawn.
#[derive(Debug)]
pub struct Svg {
    body: String,
    width: f64,
    height: f64,
    scale: f64,
}

impl Svg {
    /// An empty picture of this size.
    pub fn new(width: f64, height: f64) -> Self {
        Self { body: String::new(), width, height, scale: 1.0 }
    }

    /// How wide it is.
    pub fn width(&self) -> f64 {
        self.width
    }

    /// The picture, shown this many times as large.
    pub fn scaled(self, scale: f64) -> Self {
        Self { scale, ..self }
    }

    /// One element, as it is: for shapes without text of mail.
    pub fn add(&mut self, element: fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }

    /// A line of text; `class` is ours, `text` may be anybody's.
    pub fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let text = escape(text);
        self.add(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{text}</text>"));
    }

    /// Opens a group that says `title` when one points at it.
    pub fn open(&mut self, class: &str, title: &str) {
        self.add(format_args!("<g class=\"{class}\"><title>{}</title>", escape(title)));
    }

    /// Closes a group.
    pub fn close(&mut self) {
        self.add(format_args!("</g>"));
    }

    /// The picture, with a name and a description for those who cannot see it. `id` is ours.
    pub fn finish(self, id: &str, class: &str, title: &str, description: &str) -> String {
        let (title, description) = (escape(title), escape(description));
        let Self { body, width, height, scale } = self;
        let (wide, high) = (width * scale, height * scale);
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{wide:.0}\" \
             height=\"{high:.0}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
             <title id=\"{id}-t\">{title}</title>\n<desc id=\"{id}-d\">{description}</desc>\n{body}</svg>"
        )
    }
}

/// The class of a culprit's colour: there are four, then they begin again. Letters tell them apart.
pub fn colour(index: usize) -> String {
    format!("c{}", index % 4)
}
