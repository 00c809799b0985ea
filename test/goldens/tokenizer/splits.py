"""Writes splits.json beside it: what Hugging Face's own `tokenizers` (Rust) does with difficult strings.

    pip install tokenizers==0.23.3 && python splits.py

The pre-tokenizers are those of the published tokenizer.json files (GPT-2, SmolLM2, Llama 3, Qwen2 without its NFC
normaliser, which a GGUF cannot ask for); `default` is llama.cpp's list of patterns. One small vocabulary is trained per
pre-tokenizer on the text below; tokens that no merge reaches, a control and a user-defined token are added to it.
"""
import json
import os
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers import __version__ as version

Split, Sequence = pre_tokenizers.Split, pre_tokenizers.Sequence


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=use_regex)


def patterns(*expressions):
    return Sequence([Split(Regex(e), 'isolated') for e in expressions] + [byte_level(False)])


GPT4 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
PRE = {
    'gpt-2': byte_level(True),
    'smollm': Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)]),
    'llama-bpe': patterns(GPT4 % r'\p{N}{1,3}'),
    'qwen2': patterns(GPT4 % r'\p{N}'),
    'default': patterns(r'[\p{P}\$\+<=>\^~\|]+', GPT2, r'\p{N}+', '[0-9][0-9][0-9]'),
}

TEXTS = [
    '', ' ', '  ', '   a', 'a   ', 'a  b', '\n', '\n\n', ' \n ', 'a\n\n  b\n', 'a \n b', '\r\n', 'a\r\n\r\nb', '\t\tx\ty', ' \t x',
    '1', '12', '123', '1234', '12345678', ' 42', '3.14', '1,000,000', 'a1b22c333d4444', '٣٤٥٦', '½²Ⅷ', '１２３４', '2024-05-06T07:08',
    "I'm you're it's we've they'll he'd", "I'M YOU'RE IT'S WE'VE THEY'LL HE'D", "'Tis 'twas 'sno", "l'été d'or", "''s'", "don''t",
    'word.', '(word)', '"quoted" text', 'a-b_c', '...', ' ...', '!!!\n', '?!\n\nNext', '#include <x>\n{\n\t;\n}\n', '$x = $y + <z> ~ ^ |',
    'café', 'cafe\u0301', 'naïve Straße', 'привет мир', '你好，世界', 'こんにちは 世界', '한국어 텍스트', 'שלום', 'हिन्दी भाषा', 'ไทย',
    '😀', 'a😀b', '👩‍👩‍👧‍👦 x', '🇩🇪🇫🇷', 'é😀漢1', '\u00a0x', 'a\u00a0b', 'a\u2003b', '\u3000x\u3000', 'a\u0085b', '\ufeffa', 'a\u200bb',
    'a\u2028b', 'a\u2029\nb', '\u1680x', 'a\u0000b', '\x1b[0m', '\x7f', '  \n\n  \n x', '\n \n \n', 'x\n ', 'x  \n', '\v\f x', 'ſs \'ſ',
    'https://example.org/a?b=1&c=22#d', 'def f(x):\n    return x ** 2\n', 'A\u030a', 'ﬁ', 'Ǆ', 'ª º', '\U0001d7d8\U0001d7d9', '\U00020000字',
]
CORPUS = """The keeper's lamp was lit before the storm, and they'll tell you that it's been so since 1874. We're not sure:
12345 steps, 67 doors, 2024-05-06. Der Straße entlang, l'été, привет мир, 你好世界, こんにちは世界. The theatre there, the other one.
def f(x):\n    return x + 1\n\n\nfor i in range(100):\n    print(i, "the end")  # ... !!!\n\t\tthe thing that they said, again and again
""" * 3


def vocabulary(name):
    """A trained vocabulary with added tokens, as a GGUF holds it, and cases encoded with it."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=name == 'llama-bpe'))
    tokenizer.pre_tokenizer = PRE[name]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=420, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([CORPUS], trainer)
    model = json.loads(tokenizer.to_str())['model']
    vocab = model['vocab']
    for whole in ['Ġunreachable', 'whole', 'xyz']:  # in the vocabulary, but made by no merge
        vocab[whole] = len(vocab)
    full = Tokenizer(models.BPE(vocab, [tuple(m) for m in model['merges']], ignore_merges=name == 'llama-bpe'))
    full.pre_tokenizer = PRE[name]
    control, user = '<|end|>', '<<note>>'
    full.add_special_tokens([AddedToken(control, normalized=False)])
    full.add_tokens([AddedToken(user, normalized=False)])
    tokens = sorted(full.get_vocab(), key=full.get_vocab().get)
    source = random.Random(7)
    pieces = ['the', ' ', '  ', '\n', "'s", "'S", '12', '7', 'é', '漢', '😀', control, user, '<|', '|>', ' unreachable', 'whole', 'xyz', '.', '\t', '\u00a0', 'x']
    mixed = [''.join(source.choice(pieces) for _ in range(source.randint(2, 14))) for _ in range(60)]
    texts = [t for t in TEXTS if t] + mixed + ['whole unreachable xyz', 'the' * 100, 'ab' * 150, 'e' * 300, ' ' * 70 + 'x']
    return {
        'tokens': tokens, 'types': [3 if t == control else 4 if t == user else 1 for t in tokens],
        'merges': [' '.join(m) for m in model['merges']],
        'cases': [{'text': t, 'ids': full.encode(t, add_special_tokens=False).ids} for t in texts],
    }


golden = {
    'source': f'tokenizers {version} (Hugging Face, Rust), written by splits.py beside this file',
    'how': 'splits: text and its words in byte-level characters, per pre-tokenizer; vocabularies: tokens, types and merges as a GGUF '
           'holds them and the ids of texts, special tokens recognised, no BOS',
    'splits': {name: [[t, [piece for piece, _ in pre.pre_tokenize_str(t)]] for t in TEXTS] for name, pre in PRE.items()},
    'vocabularies': {name: vocabulary(name) for name in ['llama-bpe', 'qwen2', 'gpt-2']},
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'splits.json'), 'w') as file:
    json.dump(golden, file, ensure_ascii=True, separators=(',', ':'))
    file.write('\n')
