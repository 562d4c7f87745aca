//! Names for people and firms, of which simulated mail is made.

/// Given names.
pub(crate) const FIRST: [&str; 40] = [
    "jane", "bob", "aoife", "liam", "mary", "sean", "petra", "ivan", "chloe", "omar", "nina", "tom", "ruth",
    "karl", "eva", "hugo", "ines", "paul", "greta", "yuki", "marta", "colm", "dina", "erik", "fay", "gus",
    "helen", "jan", "kate", "nils", "olga", "pete", "rosa", "sam", "tina", "uwe", "vera", "will", "zoe",
    "amir",
];
/// Family names.
pub(crate) const LAST: [&str; 40] = [
    "byrne", "kelly", "murphy", "novak", "schmidt", "larsen", "moreau", "rossi", "hughes", "walsh", "okafor",
    "tanaka", "silva", "costa", "weber", "keller", "dunne", "farrell", "quinn", "brady", "clarke", "evans",
    "fischer", "garcia", "hansen", "jansen", "kowalski", "lopez", "meyer", "nagy", "olsen", "petrov", "ryan",
    "sato", "turner", "ulrich", "vogel", "wagner", "young", "zeller",
];
/// Firms.
pub(crate) const HOUSES: [&str; 40] = [
    "hargrove",
    "dunmore",
    "castleway",
    "brightwell",
    "oakfield",
    "millrace",
    "stonebridge",
    "northgate",
    "fairlight",
    "kestrel",
    "linden",
    "marlowe",
    "ashgrove",
    "penrose",
    "ravenhill",
    "silverton",
    "thornbury",
    "westcott",
    "yarrow",
    "abbeyside",
    "birchall",
    "corrib",
    "dalkey",
    "elmwood",
    "foxrock",
    "glenview",
    "hollybank",
    "inchmore",
    "kilbarry",
    "larchfield",
    "merrion",
    "newpark",
    "orwell",
    "portland",
    "quayside",
    "rosehill",
    "sandymount",
    "templebar",
    "upton",
    "vernon",
];
