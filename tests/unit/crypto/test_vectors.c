/* The published vectors: RFC 8439, RFC 7748, RFC 7693, draft-irtf-cfrg-xchacha-03; HMAC and HKDF over
 * BLAKE2s, which no document gives vectors for, against values of Python's hashlib and hmac. */
#include "aead_one.h"
#include "check.h"
#include "cpu_paths.h"
#include "crypto/blake2s.h"
#include "crypto/chacha20.h"
#include "crypto/chacha20poly1305.h"
#include "crypto/cpu_features.h"
#include "crypto/poly1305.h"
#include "crypto/secure_memory.h"
#include "crypto/x25519.h"
#include "crypto/xchacha20poly1305.h"
#include "hex.h"

static void test_chacha20(void)
{
    /* RFC 8439, 2.3.2 */
    uint8_t key[32], nonce[12], block[64];
    for (int i = 0; i < 32; i++)
        key[i] = (uint8_t)i;
    hex_decode(nonce, sizeof nonce, "000000090000004a00000000");
    chacha20_block(block, key, 1, nonce);
    CHECK(hex_equal(block, sizeof block,
                    "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
                    "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"));
    /* RFC 8439, A.1 #1: all zero */
    memset(key, 0, sizeof key);
    memset(nonce, 0, sizeof nonce);
    chacha20_block(block, key, 0, nonce);
    CHECK(hex_equal(block, sizeof block,
                    "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
                    "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"));
}

/* RFC 8439, 2.5.2 and A.3 #7 to #11: the carries at the edge of the prime. */
static const struct {
    const char *key, *message, *tag;
} poly1305_vectors[] = {
    {"85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b",
     "43727970746f6772617068696320466f72756d2052657365617263682047726f7570",
     "a8061dc1305136c6c22b8baf0c0127a9"},
    {"0200000000000000000000000000000000000000000000000000000000000000", "ffffffffffffffffffffffffffffffff",
     "03000000000000000000000000000000"},
    {"02000000000000000000000000000000ffffffffffffffffffffffffffffffff", "02000000000000000000000000000000",
     "03000000000000000000000000000000"},
    {"0100000000000000000000000000000000000000000000000000000000000000",
     "fffffffffffffffffffffffffffffffff0ffffffffffffffffffffffffffffff11000000000000000000000000000000",
     "05000000000000000000000000000000"},
    {"0100000000000000000000000000000000000000000000000000000000000000",
     "fffffffffffffffffffffffffffffffffbfefefefefefefefefefefefefefefe01010101010101010101010101010101",
     "00000000000000000000000000000000"},
    {"0200000000000000000000000000000000000000000000000000000000000000", "fdffffffffffffffffffffffffffffff",
     "faffffffffffffffffffffffffffffff"},
    {"0100000000000000040000000000000000000000000000000000000000000000",
     "e33594d7505e43b900000000000000003394d7505e4379cd0100000000000000000000000000000000000000000000000100000"
     "0000000"
     "000000000000000000",
     "14000000000000005500000000000000"},
    {"0100000000000000040000000000000000000000000000000000000000000000",
     "e33594d7505e43b900000000000000003394d7505e4379cd010000000000000000000000000000000000000000000000",
     "13000000000000000000000000000000"},
};

static void test_poly1305(void)
{
    for (size_t i = 0; i < sizeof poly1305_vectors / sizeof poly1305_vectors[0]; i++) {
        uint8_t key[32], message[64], tag[16];
        struct poly1305_state state;
        hex_decode(key, sizeof key, poly1305_vectors[i].key);
        size_t length = hex_decode(message, sizeof message, poly1305_vectors[i].message);
        poly1305_init(&state, key);
        poly1305_blocks(&state, message, length / 16);
        if (length % 16 != 0) {
            /* Plain Poly1305 marks the end inside the last block; the AEAD only absorbs padded blocks, whose
             * mark is 2^128: it is taken away in advance. */
            uint8_t last[16] = {0};
            memcpy(last, message + length / 16 * 16, length % 16);
            last[length % 16] = 1;
            state.h2 -= 1;
            poly1305_blocks(&state, last, 1);
        }
        poly1305_final(&state, tag);
        CHECK_MSG(hex_equal(tag, sizeof tag, poly1305_vectors[i].tag), "vector %zu", i);
    }
}

/* RFC 8439, 2.8.2 and A.5 */
static const struct {
    const char *key, *nonce, *aad, *plaintext, *sealed;
} aead_vectors[] = {
    {"808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "070000004041424344454647",
     "50515253c0c1c2c3c4c5c6c7",
     "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920636f756c6"
     "4206f66"
     "66657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73637265656e20776f756c6"
     "4206265"
     "2069742e",
     "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0"
     "a9e060b"
     "2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d"
     "26586ce"
     "c64b61161ae10b594f09e26a7e902ecbd0600691"},
    {"1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0", "000000000102030405060708",
     "f33388860000000000004e91",
     "496e7465726e65742d4472616674732061726520647261667420646f63756d656e74732076616c696420666f722061206d61786"
     "96d756d"
     "206f6620736978206d6f6e74687320616e64206d617920626520757064617465642c207265706c616365642c206f72206f62736"
     "f6c6574"
     "6564206279206f7468657220646f63756d656e747320617420616e792074696d652e20497420697320696e617070726f7072696"
     "1746520"
     "746f2075736520496e7465726e65742d447261667473206173207265666572656e6365206d6174657269616c206f7220746f206"
     "3697465"
     "207468656d206f74686572207468616e206173202fe2809c776f726b20696e2070726f67726573732e2fe2809d",
     "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0bdb7b73"
     "c321b01"
     "00d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c8559797a06ef4f0ef61c1863"
     "24e2b35"
     "06383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4"
     "534d7f8"
     "3fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a107"
     "3a67276"
     "27097a1049e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890cb"
     "b223923"
     "36fea1851f38"},
};

static void test_aead(void)
{
    for (size_t i = 0; i < sizeof aead_vectors / sizeof aead_vectors[0]; i++) {
        uint8_t key[32], nonce[12], aad[16], plaintext[512], out[512], sealed[512];
        hex_decode(key, sizeof key, aead_vectors[i].key);
        hex_decode(nonce, sizeof nonce, aead_vectors[i].nonce);
        size_t aad_length = hex_decode(aad, sizeof aad, aead_vectors[i].aad);
        size_t length = hex_decode(plaintext, sizeof plaintext, aead_vectors[i].plaintext);
        size_t sealed_length = hex_decode(sealed, sizeof sealed, aead_vectors[i].sealed);
        CHECK(sealed_length == length + 16);

        chacha20poly1305_seal(out, plaintext, length, aad, aad_length, nonce, key);
        CHECK_MSG(memcmp(out, sealed, sealed_length) == 0, "single seal, vector %zu", i);
        CHECK(chacha20poly1305_open(out, sealed, sealed_length, aad, aad_length, nonce, key));
        CHECK(memcmp(out, plaintext, length) == 0);

        memset(out, 0, sizeof out);
        CHECK(aead_one(true, out, sealed_length, plaintext, length, aad, aad_length, nonce, key));
        CHECK_MSG(memcmp(out, sealed, sealed_length) == 0, "batch seal, vector %zu", i);
        memset(out, 0, sizeof out);
        CHECK(aead_one(false, out, length, sealed, sealed_length, aad, aad_length, nonce, key));
        CHECK(memcmp(out, plaintext, length) == 0);

        /* Every single changed bit of ciphertext, tag, AAD and nonce is refused, and nothing is written. */
        memset(out, 0x5a, sizeof out);
        for (size_t bit = 0; bit < 8 * (sealed_length + aad_length + sizeof nonce); bit++) {
            size_t byte = bit / 8;
            uint8_t *target = byte < sealed_length                ? &sealed[byte]
                              : byte < sealed_length + aad_length ? &aad[byte - sealed_length]
                                                                  : &nonce[byte - sealed_length - aad_length];
            *target ^= (uint8_t)(1 << bit % 8);
            bool untouched = true;
            bool single = chacha20poly1305_open(out, sealed, sealed_length, aad, aad_length, nonce, key);
            bool batch = aead_one(false, out, length, sealed, sealed_length, aad, aad_length, nonce, key);
            for (size_t k = 0; k < sizeof out; k++)
                untouched &= out[k] == 0x5a;
            CHECK_MSG(!single && !batch && untouched, "forged bit %zu of vector %zu", bit, i);
            *target ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t cut = 0; cut < sealed_length; cut++)
            CHECK(!chacha20poly1305_open(out, sealed, cut, aad, aad_length, nonce, key) &&
                  !aead_one(false, out, length, sealed, cut, aad, aad_length, nonce, key));
    }
}

static void test_xchacha(void)
{
    uint8_t key[32], nonce[24], subkey[32], plaintext[128], aad[12], out[160];
    for (int i = 0; i < 32; i++)
        key[i] = (uint8_t)i;
    /* draft-irtf-cfrg-xchacha-03, 2.2.1 */
    hex_decode(nonce, sizeof nonce, "000000090000004a0000000031415927");
    hchacha20(subkey, nonce, key);
    CHECK(
        hex_equal(subkey, sizeof subkey, "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"));
    /* A.3.1 */
    hex_decode(key, sizeof key, aead_vectors[0].key);
    hex_decode(nonce, sizeof nonce, "404142434445464748494a4b4c4d4e4f5051525354555657");
    size_t aad_length = hex_decode(aad, sizeof aad, aead_vectors[0].aad);
    size_t length = hex_decode(plaintext, sizeof plaintext, aead_vectors[0].plaintext);
    xchacha20poly1305_seal(out, plaintext, length, aad, aad_length, nonce, key);
    CHECK(hex_equal(
        out, length + 16,
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64"
        "c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c"
        "97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49"));
    CHECK(xchacha20poly1305_open(out, out, length + 16, aad, aad_length, nonce, key));
    CHECK(memcmp(out, plaintext, length) == 0);
    xchacha20poly1305_seal(out, plaintext, length, aad, aad_length, nonce, key);
    out[length] ^= 1;
    CHECK(!xchacha20poly1305_open(out, out, length + 16, aad, aad_length, nonce, key));
}

/* RFC 7693, appendix E: the generator of deterministic input. */
static void selftest_sequence(uint8_t *out, size_t length, uint32_t seed)
{
    uint32_t a = 0xdead4bad * seed, b = 1;
    for (size_t i = 0; i < length; i++) {
        uint32_t t = a + b;
        a = b;
        b = t;
        out[i] = (uint8_t)(t >> 24);
    }
}

static void test_blake2s(void)
{
    uint8_t hash[32], input[1024], key[32];
    blake2s(hash, 32, "abc", 3, NULL, 0);
    CHECK(hex_equal(hash, 32, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"));

    /* RFC 7693, appendix E: the hash of many hashes. */
    static const size_t hash_lengths[] = {16, 20, 28, 32}, input_lengths[] = {0, 3, 64, 65, 255, 1024};
    struct blake2s_state all;
    blake2s_init(&all, 32);
    for (int h = 0; h < 4; h++)
        for (int n = 0; n < 6; n++) {
            selftest_sequence(input, input_lengths[n], (uint32_t)input_lengths[n]);
            blake2s(hash, hash_lengths[h], input, input_lengths[n], NULL, 0);
            blake2s_update(&all, hash, hash_lengths[h]);
            selftest_sequence(key, hash_lengths[h], (uint32_t)hash_lengths[h]);
            blake2s(hash, hash_lengths[h], input, input_lengths[n], key, hash_lengths[h]);
            blake2s_update(&all, hash, hash_lengths[h]);
        }
    blake2s_final(&all, hash);
    CHECK(hex_equal(hash, 32, "6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe"));
    static const struct blake2s_state erased;
    CHECK(memcmp(&all, &erased, sizeof all) == 0);

    /* Any division of the input gives the same hash. */
    uint8_t whole[32];
    selftest_sequence(input, 300, 7);
    blake2s(whole, 32, input, 300, NULL, 0);
    for (size_t cut = 0; cut <= 300; cut++) {
        blake2s_init(&all, 32);
        blake2s_update(&all, input, cut);
        blake2s_update(&all, input + cut, 0);
        blake2s_update(&all, input + cut, 300 - cut);
        blake2s_final(&all, hash);
        CHECK(memcmp(hash, whole, 32) == 0);
    }
}

/* Key byte i is 3 i + key length, input byte i is 5 i + input length. */
static const struct {
    size_t key_length, input_length;
    const char *mac;
} hmac_vectors[] = {
    {0, 0, "eaf4bb25938f4d20e72656bbbc7a9bf63c0c18537333c35bdb67db1402661acd"},
    {1, 3, "7243e80999c3bebd87593fcf6bf4c223f7e1cf605a956d87ef9e2fa58b9601ea"},
    {32, 18, "13910401346e74a8156ddf8b15dfb6c664cd8dc461da1506a505c0b660809918"},
    {64, 64, "ac9e1b1454e085daabd537c843f9ccf35f9b8196e18ea90a01845e67b158b499"},
    {65, 100, "67e067dae0cf2161513a67b2b295340299335c75b1f797924ae163bb03ce59f8"},
    {200, 7, "51574eae8f6b5c326dcc54037bb5bd9c8224056e4d23b517ebb315e9398d4050"},
};

/* Chaining key byte i is 7 i + input length, input as above. */
static const struct {
    size_t input_length;
    const char *outputs[3];
} hkdf_vectors[] = {
    {0,
     {"0fcb89824acaa8b67859510ba12e47c544250960883f10e272502e6e7ba56fb9",
      "aa7718e1faa3f4ad7a9348db99df61e72dc44b762695555e8f2a31722507b3e5",
      "2a73eeddf4cb71cfc2bc1a1afe447e970003a560f69fa84f2caceedfb21f7d4a"}},
    {32,
     {"5dae70e76d4360d56b5c2d783b871284b5cdb3c0b0cf97cee2d2c278049a337d",
      "789828172b3641d50dbfc192b08caab28a51dc9f7447f4ca31a0fd0bc34e9508",
      "e4fc95f85dadca0bf5bf77397bcfc59b507c292916be3fb7c695caede228442b"}},
    {77,
     {"8b2a9b638dbdbcdae0d1503aba1ab03bea92da6f1f1c961366d7e20fbd329fa3",
      "2f9dd58eca7278c1fcc45e00505260437763c66e42db07a8721411c3839f4e26",
      "64815d7b9c22cc08a8211c8f81bd888a4a05edcdfa41d52f55ec60bc0c31f721"}},
};

static void pattern(uint8_t *bytes, size_t length, size_t step, size_t offset)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(i * step + offset);
}

static void test_hmac_hkdf(void)
{
    uint8_t key[256], input[256], out[3][32], again[3][32];
    for (size_t i = 0; i < sizeof hmac_vectors / sizeof hmac_vectors[0]; i++) {
        pattern(key, hmac_vectors[i].key_length, 3, hmac_vectors[i].key_length);
        pattern(input, hmac_vectors[i].input_length, 5, hmac_vectors[i].input_length);
        hmac_blake2s(out[0], input, hmac_vectors[i].input_length, key, hmac_vectors[i].key_length);
        CHECK_MSG(hex_equal(out[0], 32, hmac_vectors[i].mac), "HMAC vector %zu", i);
    }
    for (size_t i = 0; i < sizeof hkdf_vectors / sizeof hkdf_vectors[0]; i++) {
        pattern(key, 32, 7, hkdf_vectors[i].input_length);
        pattern(input, hkdf_vectors[i].input_length, 5, hkdf_vectors[i].input_length);
        hkdf_blake2s(out[0], out[1], out[2], key, input, hkdf_vectors[i].input_length);
        for (int n = 0; n < 3; n++)
            CHECK_MSG(hex_equal(out[n], 32, hkdf_vectors[i].outputs[n]), "HKDF vector %zu output %d", i, n);
        /* KDF1 and KDF2 are prefixes, and leave the other buffers alone. */
        memset(again, 0x77, sizeof again);
        hkdf_blake2s(again[0], NULL, NULL, key, input, hkdf_vectors[i].input_length);
        CHECK(memcmp(again[0], out[0], 32) == 0 && again[1][0] == 0x77 && again[2][0] == 0x77);
        hkdf_blake2s(again[0], again[1], NULL, key, input, hkdf_vectors[i].input_length);
        CHECK(memcmp(again[1], out[1], 32) == 0 && again[2][0] == 0x77);
        hkdf_blake2s(key, NULL, NULL, key, input, hkdf_vectors[i].input_length);
        CHECK(memcmp(key, out[0], 32) == 0);
    }
}

static void test_x25519(void)
{
    static const char *const vectors[][3] = {
        {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
        {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
    };
    uint8_t scalar[32], point[32], out[32];
    for (int i = 0; i < 2; i++) {
        hex_decode(scalar, 32, vectors[i][0]);
        hex_decode(point, 32, vectors[i][1]);
        CHECK(x25519(out, scalar, point));
        CHECK_MSG(hex_equal(out, 32, vectors[i][2]), "vector %d", i);
    }
    /* RFC 7748, 5.2: iterated 1 and 1,000 times */
    uint8_t k[32] = {9}, u[32] = {9};
    for (int i = 1; i <= 1000; i++) {
        CHECK(x25519(out, k, u));
        memcpy(u, k, 32);
        memcpy(k, out, 32);
        if (i == 1)
            CHECK(hex_equal(k, 32, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
    }
    CHECK(hex_equal(k, 32, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));

    /* RFC 7748, 6.1 */
    uint8_t alice[32], bob[32], alice_public[32], bob_public[32];
    hex_decode(alice, 32, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    hex_decode(bob, 32, "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    x25519_base(alice_public, alice);
    x25519_base(bob_public, bob);
    CHECK(hex_equal(alice_public, 32, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
    CHECK(hex_equal(bob_public, 32, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
    CHECK(x25519(out, alice, bob_public));
    CHECK(hex_equal(out, 32, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"));
    CHECK(x25519(bob, bob, alice_public)); /* out over an input */
    CHECK(memcmp(bob, out, 32) == 0);

    /* Points of low order: 0, 1, p - 1, p, p + 1 and the two of order 8 give zero, and say so. */
    static const char *const low_order[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    };
    for (size_t i = 0; i < sizeof low_order / sizeof low_order[0]; i++) {
        hex_decode(point, 32, low_order[i]);
        memset(out, 0xff, sizeof out);
        CHECK_MSG(!x25519(out, alice, point) && secure_is_zero(out, 32), "low order point %zu", i);
    }
    memset(scalar, 0xff, sizeof scalar);
    x25519_clamp(scalar);
    CHECK(scalar[0] == 0xf8 && scalar[31] == 0x7f && scalar[1] == 0xff);
    memset(scalar, 0, sizeof scalar);
    x25519_clamp(scalar);
    CHECK(scalar[0] == 0 && scalar[31] == 0x40);
}

static void test_secure_memory(void)
{
    uint8_t a[64] = {0}, b[64] = {0};
    CHECK(secure_equal(a, b, sizeof a) && secure_equal(a, b, 0) && secure_is_zero(a, sizeof a));
    for (size_t bit = 0; bit < 8 * sizeof a; bit++) {
        a[bit / 8] = (uint8_t)(1 << bit % 8);
        CHECK(!secure_equal(a, b, sizeof a) && !secure_is_zero(a, sizeof a));
        a[bit / 8] = 0;
    }
    memset(a, 1, sizeof a);
    secure_zero(a + 1, sizeof a - 2);
    CHECK(a[0] == 1 && a[63] == 1 && secure_is_zero(a + 1, sizeof a - 2));
}

static void test_features(void)
{
    CHECK(cpu_features_in_use() == 0);
    cpu_features_use(1u << 31); /* nothing that a core knows */
    CHECK(cpu_features_in_use() == 0);
    cpu_features_use(cpu_features_detect());
    CHECK((cpu_features_in_use() & ~cpu_features_detect()) == 0);
    cpu_features_use(0);
    CHECK(cpu_features_in_use() == 0);

    uint8_t nonce[12];
    aead_nonce_from_counter(nonce, 0x0102030405060708);
    CHECK(hex_equal(nonce, 12, "000000000807060504030201"));
}

int main(void)
{
    test_features();
    test_chacha20();
    test_poly1305();
    FOR_EACH_CPU_PATH(i)
    test_aead();
    test_xchacha();
    test_blake2s();
    test_hmac_hkdf();
    test_x25519();
    test_secure_memory();
    return check_summary();
}
