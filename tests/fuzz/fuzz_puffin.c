/* Any bytes as a puffin file, as a blob, and as the vector inside a blob with the right frame around it (a
 * fuzzer would not find the checksum by itself). A bitmap that comes out is used, and must encode and decode
 * to itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "format/puffin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int truth)
{
    if (!truth)
        abort();
}

static void use(roaring_bitmap_t *b)
{
    struct dm_error err = {0};
    struct dm_buffer out;
    roaring_bitmap_t *again;
    uint64_t n = roaring_bitmap_get_cardinality(b);
    uint64_t counted = 0;
    uint64_t last = 0;
    roaring_uint32_iterator_t *i = roaring_create_iterator(b);
    for (; i->has_value; roaring_advance_uint32_iterator(i)) {
        expect(counted == 0 || i->current_value > last);
        last = i->current_value;
        counted++;
    }
    roaring_free_uint32_iterator(i);
    expect(counted == n);
    if (n == 0)
        return;
    struct dm_puffin_vector v = {.data_file = "f", .deleted = b};
    dm_buffer_init(&out, 256 << 20);
    expect(dm_puffin_encode(&v, 1, "fuzz", &out, &err) == DM_OK);
    size_t blobs;
    expect(dm_puffin_check(out.data, out.len, &blobs, &err) == DM_OK && blobs == 1);
    expect(dm_puffin_vector_decode(out.data + v.offset, v.length, &again, &err) == DM_OK);
    expect(roaring_bitmap_equals(b, again));
    roaring_bitmap_free(again);
    dm_buffer_release(&out);
    /* what the mirror does with it: more positions */
    roaring_bitmap_add_range(b, 0, 70000);
    roaring_bitmap_add(b, (uint32_t)last + 7);
    expect(roaring_bitmap_contains(b, 69999) && roaring_bitmap_get_cardinality(b) >= 70000);
}

static void blob(const uint8_t *data, size_t size)
{
    struct dm_error err = {0};
    roaring_bitmap_t *b;
    if (dm_puffin_vector_decode(data, size, &b, &err) == DM_OK) {
        use(b);
        roaring_bitmap_free(b);
    } else {
        expect(b == NULL && err.class == DM_ERROR_DATA && err.message[0] != '\0');
    }
}

static void framed(const uint8_t *data, size_t size)
{
    uint8_t *framed = malloc(size + 12);
    expect(framed != NULL);
    dm_put_be32(framed, (uint32_t)size + 4);
    memcpy(framed + 4, "\xd1\xd3\x39\x64", 4);
    if (size > 0)
        memcpy(framed + 8, data, size);
    dm_put_be32(framed + 8 + size, (uint32_t)crc32(0, framed + 4, (uInt)size + 4));
    blob(framed, size + 12);
    free(framed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dm_error err = {0};
    size_t blobs;
    if (dm_puffin_check(data, size, &blobs, &err) != DM_OK)
        expect(err.class == DM_ERROR_DATA && err.message[0] != '\0');
    blob(data, size);
    framed(data, size);
    return 0;
}
