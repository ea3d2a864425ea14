//! What is named after somebody: "a Markov chain", "Crohn's disease".
//!
//! Both words are listed: "Maria's lymphoma" and "Alice's calendar" are about persons.

use std::ops::Range;

/// The words for things, and after whom they are named.
#[rustfmt::skip]
const TABLE: &[(&[&str], &[&str])] = &[
    (&["disease"], &[
        "Addison", "Alzheimer", "Behçet", "Castleman", "Chagas", "Crohn", "Cushing", "Graves", "Hansen",
        "Hirschsprung", "Hodgkin", "Huntington", "Kawasaki", "Lyme", "Menière", "Paget", "Parkinson",
        "Perthes", "Raynaud", "Wilson",
    ]),
    (&["syndrome"], &[
        "Angelman", "Asperger", "Brugada", "Cushing", "Down", "Edwards", "Horner", "Klinefelter", "Korsakoff",
        "Lynch", "Marfan", "Munchausen", "Patau", "Reye", "Sjögren", "Sjogren", "Stockholm", "Tourette",
        "Turner",
    ]),
    (&["lymphoma"], &["Hodgkin", "Burkitt"]),
    (&["palsy"], &["Bell", "Erb"]),
    (&["sarcoma"], &["Ewing", "Kaposi"]),
    (&["law", "laws"], &[
        "Amdahl", "Ampère", "Avogadro", "Beer", "Benford", "Betteridge", "Boyle", "Brooks", "Conway",
        "Coulomb", "Dalton", "Faraday", "Fick", "Fourier", "Gauss", "Godwin", "Goodhart", "Gresham", "Grimm",
        "Hess", "Hofstadter", "Hooke", "Hubble", "Kepler", "Kirchhoff", "Koomey", "Lenz", "Metcalfe", "Moore",
        "Murphy", "Newton", "Ohm", "Okun", "Parkinson", "Planck", "Poe", "Postel", "Raoult", "Snell",
        "Stokes", "Wien", "Wirth", "Zipf",
    ]),
    (&["algorithm"], &[
        "Bellman", "Boyer", "Dijkstra", "Euclid", "Grover", "Kadane", "Karatsuba", "Kosaraju", "Kruskal",
        "Lamport", "Levenberg", "Nagle", "Peterson", "Shor", "Strassen", "Tarjan", "Viterbi",
    ]),
    (&["chain", "chains", "model", "models", "process", "property"], &["Markov", "Ising", "Wiener", "Poisson"]),
    (&["code", "codes", "coding", "tree", "trees", "distance"], &[
        "Fenwick", "Hamming", "Huffman", "Levenshtein", "Mahalanobis", "Merkle", "Morse",
    ]),
    (&["filter", "filters"], &["Bloom", "Butterworth", "Chebyshev", "Gabor", "Kalman", "Sobel", "Wiener"]),
    (&["transform", "transforms", "series"], &[
        "Fourier", "Haar", "Hadamard", "Hilbert", "Hough", "Laplace", "Laurent", "Legendre", "Radon",
        "Taylor",
    ]),
    (&["matrix", "matrices"], &["Hermitian", "Hesse", "Hessian", "Hilbert", "Jacobi", "Jacobian", "Vandermonde"]),
    (&["distribution", "distributions", "coefficient", "coefficients", "statistic"], &[
        "Bernoulli", "Boltzmann", "Cauchy", "Dirichlet", "Gauss", "Gini", "Gumbel", "Laplace", "Pareto",
        "Pearson", "Poisson", "Rayleigh", "Spearman", "Weibull", "Zipf",
    ]),
    (&["equation", "equations", "inequality"], &[
        "Bellman", "Bernoulli", "Bessel", "Cauchy", "Chebyshev", "Dirac", "Drake", "Euler", "Hölder",
        "Jensen", "Laplace", "Markov", "Maxwell", "Navier", "Nernst", "Pell", "Poisson", "Riccati",
        "Schrödinger",
    ]),
    (&["theorem", "theorems", "lemma", "conjecture", "hypothesis", "paradox"], &[
        "Banach", "Bayes", "Cantor", "Collatz", "Euler", "Fermat", "Fubini", "Gauss", "Goldbach", "Gödel",
        "Green", "Hilbert", "Itô", "Jevons", "Noether", "Olbers", "Poincaré", "Pythagoras", "Pythagorean",
        "Riemann", "Rolle", "Russell", "Sapir", "Simpson", "Stokes", "Thales", "Zeno", "Zorn",
    ]),
    (&["rule"], &["Cramer", "Simpson"]),
    (&["constant", "constants", "number", "numbers"], &[
        "Avogadro", "Boltzmann", "Euler", "Faraday", "Fibonacci", "Hubble", "Mach", "Planck", "Rydberg",
    ]),
    (&["sequence", "sequences"], &["Cauchy", "Fibonacci"]),
    (&["effect"], &[
        "Casimir", "Compton", "Coriolis", "Doppler", "Dunning", "Hall", "Hawthorne", "Streisand", "Zeeman",
    ]),
    (&["principle", "uncertainty", "razor", "criterion", "equilibrium"], &[
        "Bernoulli", "Hanlon", "Heisenberg", "Huygens", "Kerckhoffs", "Nash", "Nyquist", "Occam", "Ockham",
        "Pareto", "Pauli",
    ]),
    (&["diagram", "diagrams", "chart", "charts"], &[
        "Feynman", "Gantt", "Ishikawa", "Pareto", "Sankey", "Venn", "Voronoi",
    ]),
    (&["calendar"], &["Gregorian"]),
    (&["burner", "cage", "coil", "counter", "dish", "engine", "machine", "test"], &[
        "Bunsen", "Diesel", "Faraday", "Geiger", "Petri", "Rorschach", "Stirling", "Tesla", "Turing",
    ]),
];

/// Whether a name of one word names a thing.
pub(super) fn is_eponym(text: &[u8], name: &Range<usize>) -> bool {
    let marks = [b"'s ".as_slice(), "\u{2019}s ".as_bytes(), b"' ", "\u{2019} ".as_bytes(), b" "];
    let rest = &text[name.end..];
    let Some(rest) = marks.into_iter().find_map(|mark| rest.strip_prefix(mark)) else { return false };
    let ordinal = [b"first ".as_slice(), b"second ", b"third "].into_iter();
    let rest = ordinal.into_iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
    let (thing, rest) =
        rest.split_at(rest.iter().take(16).take_while(|byte| byte.is_ascii_lowercase()).count());
    // Not "Murphy's law firm".
    let ends = thing != b"law"
        || rest.first() != Some(&b' ')
        || rest.starts_with(b" of ")
        || rest.starts_with(b" is ");
    let listed = |list: &[&str], word: &[u8]| list.iter().any(|known| known.as_bytes() == word);
    ends && TABLE.iter().any(|(things, names)| listed(things, thing) && listed(names, &text[name.clone()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_after_somebody_is_nobody() {
        for (text, name, wanted) in [
            ("Crohn's disease", "Crohn", true),
            ("a Markov chain", "Markov", true),
            ("Graves\u{2019} disease", "Graves", true),
            ("Newton's second law", "Newton", true),
            ("as Murphy's law says", "Murphy", false),
            ("Murphy's law.", "Murphy", true),
            ("Murphy's law firm", "Murphy", false),
            ("Markov called", "Markov", false),
            ("Anna Crohn disease", "Anna Crohn", false),
            ("Anna Crohn disease", "Anna", false),
            ("Maria's lymphoma", "Maria", false),
            ("Crohn's lymphoma", "Crohn", false),
            ("Alice's calendar", "Alice", false),
            ("Peter filter", "Peter", false),
            ("Anna's law.", "Anna", false),
        ] {
            let start = text.find(name).unwrap();
            assert_eq!(is_eponym(text.as_bytes(), &(start..start + name.len())), wanted, "{text}");
        }
    }
}
