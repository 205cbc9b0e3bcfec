"""Real data for the language classifier in examples/language_id: wordlists.py FOLDER.

Writes FOLDER/words/<language>.txt, about 30,000 lines "word<TAB>count" from the lists of the package wordfreq, as if ten
million words of each language had been counted; and FOLDER/sentences/<language>.txt, sentences one a line from the
translations in the package django. Needs scripts/bench-data-packages.txt; runs none of these packages' code but msgpack's.
"""

import ast
import gzip
import importlib.util
import pathlib
import re
import sys

import msgpack

CORPUS = 10_000_000  # words counted of each language
MOST_WORDS = 30_000
LEAST_WORDS = 4  # of a sentence
# Where Django spells a language otherwise. Serbo-Croatian is one of wordfreq's languages.
LOCALES = {"sh": ["sr_Latn", "hr", "bs"], "zh": ["zh_Hans"], "en": []}


def package_folder(name):
    spec = importlib.util.find_spec(name)
    if spec is None:
        sys.exit(f"wordlists.py: the package {name} is missing; see scripts/bench-data-packages.txt")
    return pathlib.Path(spec.origin).parent


def word_counts(path):
    """Pairs of a word and its count, most frequent first."""
    with gzip.open(path) as file:
        header, *buckets = msgpack.load(file, raw=False)
    if header != {"format": "cB", "version": 1}:
        sys.exit(f"wordlists.py: {path} is of another format")
    words = [(word, 10 ** (-index / 100)) for index, bucket in enumerate(buckets) for word in bucket]
    return [(word, max(1, round(CORPUS * share))) for word, share in words[:MOST_WORDS]
            if not any(c in word for c in "\t\n\r")]


def messages(path):
    """Pairs of source and translation in a .po file; plural forms and doubtful translations are left out."""
    for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        if "\n#, fuzzy" in "\n" + block or "msgid_plural" in block:
            continue
        texts = {}
        for key, strings in re.findall(r'^(msgid|msgstr) ((?:".*"\s*)+)', block, re.MULTILINE):
            texts[key] = "".join(ast.literal_eval(line) for line in strings.splitlines() if line.strip())
        if texts.get("msgid") and texts.get("msgstr"):
            yield texts["msgid"], texts["msgstr"]


def sentences(text):
    """The sentences of a message, without markup and what the program fills in."""
    text = re.sub(r"<[^>]*>|%\([^)]*\)\w|%[sd]|\{[^}]*\}|&\w+;|https?://\S+", " ", text)
    for sentence in re.split(r"(?<=[.!?。！？।])\s*|\n\s*\n", text):
        sentence = " ".join(sentence.split())
        has_no_spaces = re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", sentence) and len(sentence) >= 2 * LEAST_WORDS
        if len(sentence.split()) >= LEAST_WORDS or has_no_spaces:
            yield sentence


def write(folder):
    django = package_folder("django")
    data = package_folder("wordfreq") / "data"
    for name in ("words", "sentences"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    languages = sorted(path.name.removeprefix("small_").removesuffix(".msgpack.gz") for path in data.glob("small_*"))
    english = set()
    for language in languages:
        large = data / f"large_{language}.msgpack.gz"
        words = word_counts(large if large.exists() else data / f"small_{language}.msgpack.gz")
        (folder / "words" / f"{language}.txt").write_text("".join(f"{w}\t{n}\n" for w, n in words), encoding="utf-8")
        found = set()
        for locale in LOCALES.get(language, [language]):
            for path in sorted(django.glob(f"**/locale/{locale}/LC_MESSAGES/*.po")):
                for source, translation in messages(path):
                    english.update(sentences(source))
                    if translation != source:
                        found.update(sentences(translation))
        if language != "en":
            write_sentences(folder, language, found)
    write_sentences(folder, "en", english)


def write_sentences(folder, language, found):
    if found:
        (folder / "sentences" / f"{language}.txt").write_text("".join(f"{s}\n" for s in sorted(found)), encoding="utf-8")


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]))
