#include "kernels/ops.h"
#include "tests/kernels/kernel_data.h"

enum { SLOTS = 7, FLOATS = 3, ROWS = 4 };

static void rows_go_to_their_slots_and_nowhere_else(void **state)
{
    static const uint32_t slot[ROWS] = {5, 6, 0, 2};
    float k[ROWS * FLOATS], v[ROWS * FLOATS];
    struct device *dev = data_device(1, false);
    struct guarded ring[2];
    struct err err = {{0}};

    for (int i = 0; i < ROWS * FLOATS; i++) {
        k[i] = (float)(100 + i);
        v[i] = (float)(200 + i);
    }
    for (int i = 0; i < 2; i++) {
        guarded_init(&ring[i], SLOTS * FLOATS);
        memset(ring[i].p, 0, SLOTS * FLOATS * sizeof(float));
    }
    struct ring_write_args a = {ring[0].p, ring[1].p, k, v, slot, ROWS, FLOATS};
    assert_int_equal(device_ops(dev)->ring_write(dev, &a, &err), ST_OK);
    for (int s = 0; s < SLOTS; s++) {
        int row = s == 5 ? 0 : s == 6 ? 1 : s == 0 ? 2 : s == 2 ? 3 : -1;
        for (int i = 0; i < FLOATS; i++) {
            float want = row < 0 ? 0 : (float)(100 + row * FLOATS + i);
            assert_close(ring[0].p[s * FLOATS + i], want, 0);
            assert_close(ring[1].p[s * FLOATS + i], want > 0 ? want + 100 : 0, 0);
        }
    }
    guarded_release(&ring[0]);
    guarded_release(&ring[1]);
    device_close(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_go_to_their_slots_and_nowhere_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
