//! The table of cues, one row each; `*` at the end lets the word go on.
//!
//! English, German, French, Spanish, and some words of other languages where they are short.

/// What a cue speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CueGroup {
    Card,
    Iban,
    Ssn,
    Phone,
    Ip,
    Mac,
    Birth,
    Passport,
    License,
    Account,
    /// A word that says that it is the account's number, and nothing else about it.
    AccountNumber,
    Routing,
    /// A branch of an Australian bank.
    Bsb,
    /// A national number, of any kind that we know.
    NationalId,
    /// National numbers whose only check digit every tenth number has: their own words speak for them, and for no other.
    Itin,
    Nhs,
    Aadhaar,
    Pesel,
    Steuer,
    Sin,
    Bsn,
    Cpf,
    /// National numbers whose form or check is enough.
    Formed,
    /// An identity document of a kind that has no check digits.
    Document,
    Wallet,
    Address,
    /// The number is something else.
    Negative,
}

pub(crate) struct Cue {
    pub(crate) word: &'static str,
    pub(crate) groups: &'static [CueGroup],
}

const fn cue(word: &'static str, groups: &'static [CueGroup]) -> Cue {
    Cue { word, groups }
}

use CueGroup::{
    Aadhaar, Account, AccountNumber, Address, Birth, Bsb, Bsn, Card, Cpf, Document, Formed, Iban, Ip, Itin,
    License, Mac, NationalId, Negative, Nhs, Passport, Pesel, Phone, Routing, Sin, Ssn, Steuer, Wallet,
};

#[rustfmt::skip]
pub(crate) const TABLE: &[Cue] = &[
    // Cards
    cue("card", &[Card]), cue("cards", &[Card]), cue("credit card*", &[Card]), cue("creditcard*", &[Card]),
    cue("debit card*", &[Card]), cue("card number", &[Card]), cue("card no", &[Card]), cue("cc", &[Card]),
    cue("ccn", &[Card]), cue("cc number", &[Card]), cue("visa", &[Card]), cue("mastercard", &[Card]),
    cue("maestro", &[Card]), cue("amex", &[Card]), cue("american express", &[Card]), cue("diners", &[Card]),
    cue("discover", &[Card]), cue("jcb", &[Card]), cue("unionpay", &[Card]), cue("pan", &[Card]),
    cue("kreditkarte*", &[Card]), cue("karte*", &[Card]), cue("carte", &[Card]),
    cue("carte bancaire", &[Card]), cue("tarjeta*", &[Card]), cue("carta di credito", &[Card]), cue("信用卡*", &[Card]), cue("卡号*", &[Card]),
    // IBAN
    cue("iban", &[Iban, Account]),
    // SSN
    cue("ssn", &[Ssn]), cue("ssns", &[Ssn]), cue("ss#", &[Ssn]), cue("social", &[Ssn]), cue("soc sec", &[Ssn]),
    cue("social security*", &[Ssn]), cue("soc. sec.", &[Ssn]), cue("seguro social", &[Ssn]),
    cue("tax id", &[Ssn, NationalId, Document]), cue("taxpayer id*", &[Ssn, NationalId]), cue("tin", &[Ssn, NationalId]),
    // Phones
    cue("phone*", &[Phone]), cue("telephone*", &[Phone]), cue("tel", &[Phone]), cue("call", &[Phone]),
    cue("mobile*", &[Phone]), cue("cell", &[Phone]), cue("cell phone", &[Phone]), cue("cellphone", &[Phone]),
    cue("fax", &[Phone]), cue("dial", &[Phone]), cue("text me", &[Phone]), cue("sms", &[Phone]),
    cue("whatsapp", &[Phone]), cue("hotline", &[Phone]), cue("helpline", &[Phone]), cue("ring me", &[Phone]), cue("reach me", &[Phone]),
    cue("contact", &[Phone]), cue("contact number", &[Phone]), cue("call me", &[Phone]), cue("voicemail", &[Phone]),
    cue("callback", &[Phone]), cue("landline", &[Phone]), cue("telefon*", &[Phone]), cue("handy*", &[Phone]),
    cue("mobil*", &[Phone]), cue("rufnummer", &[Phone]), cue("festnetz*", &[Phone]), cue("anruf*", &[Phone]),
    cue("rückruf*", &[Phone]), cue("téléphone", &[Phone]), cue("tél", &[Phone]), cue("mob", &[Phone]), cue("cel", &[Phone]), cue("gsm", &[Phone]), cue("natel", &[Phone]), cue("tfno", &[Phone]), cue("tlf", &[Phone]), cue("my number", &[Phone]), cue("new number", &[Phone]), cue("portable", &[Phone]), cue("appelez*", &[Phone]),
    cue("teléfono", &[Phone]), cue("móvil", &[Phone]), cue("movil", &[Phone]), cue("celular", &[Phone]),
    cue("llame*", &[Phone]), cue("llama*", &[Phone]), cue("llámame", &[Phone]), cue("telefoon*", &[Phone]), cue("cellulare", &[Phone]),
    cue("telemóvel", &[Phone]), cue("msisdn", &[Phone]), cue("電話*", &[Phone]), cue("携帯*", &[Phone]), cue("电话*", &[Phone]), cue("联系电话*", &[Phone]), cue("手机*", &[Phone]),
    cue("тел", &[Phone]), cue("телефон*", &[Phone]),
    // Network
    cue("ip", &[Ip]), cue("ip address*", &[Ip]), cue("ipv4", &[Ip]), cue("ipv6", &[Ip]), cue("host", &[Ip]),
    cue("client ip", &[Ip]), cue("remote addr", &[Ip]), cue("server", &[Ip]), cue("gateway", &[Ip]), cue("ping", &[Ip]),
    cue("ip-adresse", &[Ip]), cue("adresse ip", &[Ip]), cue("dirección ip", &[Ip]), cue("subnet", &[Ip]), cue("address*", &[Ip, Address]), cue("addr", &[Ip]), cue("connect*", &[Ip]), cue("ssh", &[Ip]), cue("dns", &[Ip]),
    cue("nameserver*", &[Ip]), cue("remote", &[Ip]), cue("peer", &[Ip]), cue("client", &[Ip]), cue("login", &[Ip]), cue("firewall", &[Ip]), cue("blocked", &[Ip]), cue("proxy", &[Ip]),
    cue("router", &[Ip]), cue("network", &[Ip]), cue("vpn", &[Ip]), cue("hosts", &[Ip]), cue("ips", &[Ip]), cue("request*", &[Ip]), cue("resolver*", &[Ip]), cue("traceroute", &[Ip]),
   
    cue("mac", &[Mac]), cue("mac address*", &[Mac]), cue("hwaddr", &[Mac]), cue("ether", &[Mac]), cue("bssid", &[Mac]),
    // Birth
    cue("dob", &[Birth]), cue("d.o.b.", &[Birth]), cue("d.o.b", &[Birth]), cue("born", &[Birth]), cue("birth", &[Birth]), cue("date of birth", &[Birth]),
    cue("birth date", &[Birth]), cue("birthdate", &[Birth]), cue("birthday*", &[Birth]), cue("bday", &[Birth]),
    cue("geboren*", &[Birth]), cue("geb", &[Birth]), cue("geburtsdatum", &[Birth]), cue("geburtstag*", &[Birth]),
    cue("né le", &[Birth]), cue("née le", &[Birth]), cue("née", &[Birth]), cue("né(e)", &[Birth]), cue("naissance", &[Birth]),
    cue("date de naissance", &[Birth]), cue("nacido*", &[Birth]), cue("nacida*", &[Birth]), cue("nació", &[Birth]),
    cue("nacimiento", &[Birth]), cue("fecha de nacimiento", &[Birth]), cue("nato il", &[Birth]), cue("nata il", &[Birth]),
    cue("data di nascita", &[Birth]), cue("geboortedatum", &[Birth]), cue("data de nascimento", &[Birth]),
    cue("cumpleaños", &[Birth]), cue("anniversaire", &[Birth]), cue("生年月日*", &[Birth]), cue("出生*", &[Birth]),
    cue("дата рождения", &[Birth]), cue("родился", &[Birth]), cue("родилась", &[Birth]),
    // Passports and licences
    cue("passport*", &[Passport]), cue("reisepass*", &[Passport]), cue("pass-nr", &[Passport]), cue("passnummer", &[Passport]),
    cue("passeport*", &[Passport]), cue("pasaporte*", &[Passport]), cue("passaporto", &[Passport]), cue("paspoort*", &[Passport]),
    cue("travel document*", &[Passport]), cue("паспорт*", &[Passport]), cue("护照*", &[Passport]),
    cue("driver license*", &[License]), cue("drivers license*", &[License]), cue("driver's license*", &[License]),
    cue("driving licence*", &[License]), cue("driving license*", &[License]), cue("driver licence*", &[License]),
    cue("driver's licence*", &[License]), cue("driver's lic", &[License]), cue("drivers lic", &[License]), cue("driver lic", &[License]), cue("drivers licence*", &[License]), cue("dl", &[License]), cue("dl no", &[License]), cue("dl number", &[License]), cue("dln", &[License]), cue("dl#", &[License]),
    cue("license number", &[License]), cue("licence number", &[License]), cue("license no", &[License]), cue("licence no", &[License]),
    cue("führerschein*", &[License]), cue("fuehrerschein*", &[License]), cue("permis de conduire", &[License]), cue("permis", &[License]), cue("permis de construire", &[]),
    cue("licencia de conducir", &[License]), cue("carnet de conducir", &[License]), cue("permiso de conducir", &[License]),
    cue("patente di guida", &[License]), cue("rijbewijs*", &[License]), cue("dmv", &[License]),
    // Accounts
    cue("account", &[Account]), cue("accounts", &[Account]), cue("account no", &[Account, AccountNumber]), cue("account nr", &[Account, AccountNumber]), cue("acct", &[Account]), cue("acc no", &[Account, AccountNumber]), cue("a/c", &[Account]), cue("account number", &[Account, AccountNumber]),
    cue("acct no", &[Account, AccountNumber]), cue("acct number", &[Account, AccountNumber]), cue("account num", &[Account, AccountNumber]),
    cue("bank account no", &[Account, AccountNumber]), cue("bank account number", &[Account, AccountNumber]), cue("kontonummer*", &[Account, AccountNumber]), cue("konto-nr", &[Account, AccountNumber]), cue("konto nr", &[Account, AccountNumber]),
    cue("kontonr", &[Account, AccountNumber]), cue("número de cuenta", &[Account, AccountNumber]), cue("numero de cuenta", &[Account, AccountNumber]), cue("numero di conto", &[Account, AccountNumber]),
    cue("aws account*", &[Negative]), cue("azure account*", &[Negative]), cue("github account*", &[Negative]), cue("user account*", &[Negative]),
    cue("service account*", &[Negative]), cue("storage account*", &[Negative]), cue("twitter account*", &[Negative]),
    cue("bank account*", &[Account]), cue("checking", &[Account]), cue("savings", &[Account]), cue("direct deposit", &[Account, Routing]),
    cue("konto*", &[Account]), cue("bankverbindung", &[Account]), cue("compte", &[Account]), cue("numéro de compte", &[Account, AccountNumber]),
    cue("cuenta*", &[Account]), cue("conto corrente", &[Account]), cue("sort code*", &[Account, Routing]), cue("sortcode", &[Account, Routing]),
    cue("routing*", &[Routing]), cue("aba", &[Routing]), cue("rtn", &[Routing]), cue("transit", &[Routing]), cue("blz", &[Routing, Account]),
    cue("bankleitzahl", &[Routing, Account]), cue("bsb", &[Routing, Account, Bsb]), cue("ach", &[Routing, Account]), cue("wire", &[Routing, Account]),
    // National numbers
    cue("nhs*", &[Nhs, Negative]), cue("national insurance*", &[Formed]), cue("ni number", &[Formed]), cue("ni no", &[Formed]), cue("nino", &[Formed]),
    cue("itin", &[Itin]), cue("aadhaar*", &[Aadhaar, Negative]), cue("aadhar*", &[Aadhaar, Negative]), cue("uidai", &[Aadhaar]), cue("pesel", &[Pesel]),
    cue("dni", &[Formed]), cue("nie", &[Formed]), cue("nif", &[Formed]), cue("codice fiscale", &[Formed]), cue("cf", &[Formed]),
    cue("national id*", &[NationalId, Document]), cue("identity number", &[NationalId, Document]), cue("identity card*", &[NationalId, Document]), cue("id card*", &[NationalId, Document]),
    cue("id number", &[NationalId, Document]), cue("personal number", &[NationalId, Document]), cue("citizen*", &[NationalId, Document]), cue("sin", &[Sin]),
    cue("social insurance*", &[Sin]), cue("steuer-id*", &[Steuer]), cue("steueridentifikationsnummer", &[Steuer]), cue("steuer-identifikationsnummer", &[Steuer]),
    cue("steuernummer", &[Steuer, Document]), cue("idnr", &[NationalId, Document]), cue("personalausweis*", &[NationalId, Document]), cue("ausweisnummer", &[NationalId, Document]),
    cue("sécurité sociale", &[Formed]), cue("securite sociale", &[Formed]), cue("numéro de sécu*", &[Formed]), cue("nir", &[Formed]), cue("insee", &[Formed]),
    cue("cpf", &[Cpf]), cue("bsn", &[Bsn]), cue("burgerservicenummer", &[Bsn]), cue("personnummer", &[Document]),
    cue("ahv*", &[Formed]), cue("avs", &[Formed]), cue("curp", &[Document]), cue("tfn", &[NationalId]), cue("tax file number", &[NationalId]),
    cue("patient*", &[Nhs]), cue("health number", &[Nhs, Document]), cue("documento*", &[NationalId, Document]), cue("identidad", &[NationalId, Document]),
    // Wallets
    cue("wallet*", &[Wallet]), cue("bitcoin*", &[Wallet]), cue("btc", &[Wallet]), cue("eth", &[Wallet]), cue("ethereum", &[Wallet]),
    // Postal addresses
    cue("live at", &[Address]), cue("lives at", &[Address]), cue("living at", &[Address]), cue("live on", &[Address]), cue("i live", &[Address]),
    cue("ship to", &[Address]), cue("shipping", &[Address]), cue("deliver*", &[Address]), cue("delivery", &[Address]), cue("mail to", &[Address]), cue("send it to", &[Address]),
    cue("send to", &[Address]), cue("home", &[Address]), cue("resid*", &[Address]), cue("located at", &[Address]), cue("moved to", &[Address]), cue("billing", &[Address]),
    cue("anschrift*", &[Address]), cue("adresse*", &[Ip, Address]), cue("wohn*", &[Address]), cue("habite", &[Address]), cue("domicil*", &[Address]), cue("dirección", &[Address]),
    cue("direccion", &[Address]), cue("vivo", &[Address]), cue("vive", &[Address]), cue("indirizzo", &[Address]), cue("pick up at", &[Address]), // Longer than "address", so that these are none of them.
    cue("email address*", &[]),
    cue("e-mail address*", &[]), cue("memory address*", &[]), cue("web address*", &[]),
    // What numbers also are
    cue("order", &[Negative]), cue("order number", &[Negative]), cue("order no", &[Negative]), cue("order id", &[Negative]), cue("invoice*", &[Negative]),
    cue("version*", &[Negative]), cue("ver", &[Negative]), cue("build", &[Negative]), cue("build number", &[Negative]), cue("isbn*", &[Negative]), cue("issn", &[Negative]),
    cue("tracking*", &[Negative]), cue("part number", &[Negative]), cue("part no", &[Negative]), cue("part #", &[Negative]), cue("part", &[Negative]), cue("p/n", &[Negative]),
    cue("sku", &[Negative]), cue("serial*", &[Negative]), cue("uuid", &[Negative]), cue("guid", &[Negative]), cue("sha", &[Negative]), cue("sha1", &[Negative]), cue("commit", &[Negative]), cue("id", &[Negative]), cue("ids", &[Negative]),
    cue("ticket*", &[Negative]), cue("case", &[Negative]), cue("case number", &[Negative]), cue("ref", &[Negative]), cue("reference*", &[Negative]), cue("product", &[Negative]),
    cue("model", &[Negative]), cue("firmware", &[Negative]), cue("kernel", &[Negative]), cue("runtime", &[Negative]), cue("sdk", &[Negative]), cue("package", &[Negative]), cue("library", &[Negative]), cue("dotnet", &[Negative]), cue("chrome", &[Negative]), cue("firefox", &[Negative]), cue("patch", &[Negative]), cue("release", &[Negative]), cue("section", &[Negative]), cue("chapter", &[Negative]), cue("oid", &[Negative]),
    cue("timestamp", &[Negative]), cue("epoch", &[Negative]), cue("revision", &[Negative]), cue("rev", &[Negative]), cue("barcode", &[Negative]), cue("ean", &[Negative]),
    cue("upc", &[Negative]), cue("gtin", &[Negative]), cue("imei", &[Negative]), cue("doi", &[Negative]), cue("rfc", &[Negative]), cue("port", &[Negative]),
    cue("bestellung*", &[Negative]), cue("bestellnummer", &[Negative]), cue("rechnung*", &[Negative]), cue("auftrag*", &[Negative]), cue("art.-nr", &[Negative]), cue("kundennummer", &[Negative]), cue("kunden-nr", &[Negative]), cue("kd.-nr", &[Negative]), cue("bestell-nr", &[Negative]), cue("artikel*", &[Negative]), cue("sendung*", &[Negative]),
    cue("commande", &[Negative]), cue("facture", &[Negative]), cue("pedido", &[Negative]), cue("factura", &[Negative]), cue("seguimiento", &[Negative]),
];
