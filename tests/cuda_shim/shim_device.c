#include "tests/cuda_shim/shim_device.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KINDS_MAX 16

static pthread_mutex_t lock;
static pthread_once_t lock_once = PTHREAD_ONCE_INIT;
static _Thread_local int current_device;
static _Thread_local cudaError_t last_error;
static cudaError_t lost = cudaSuccess;

/* How often each kind of call was asked about since the faults were set. */
static struct {
    char faults[256];
    struct {
        char kind[16];
        long n_calls;
    } seen[KINDS_MAX];
    int n_seen;
} orders;

static void open_lock(void)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

void shim_device_enter(void)
{
    pthread_once(&lock_once, open_lock);
    pthread_mutex_lock(&lock);
}

cudaError_t shim_device_leave(cudaError_t error)
{
    if (lost != cudaSuccess)
        error = lost;
    if (error != cudaSuccess && error != cudaErrorNotReady)
        last_error = error;
    pthread_mutex_unlock(&lock);
    return error;
}

void shim_device_lose(cudaError_t error)
{
    lost = error;
}

static long number(const char *name, long otherwise, long most)
{
    const char *text = getenv(name);
    long value = text ? strtol(text, NULL, 10) : otherwise;

    return value < 0 ? 0 : value > most ? most : value;
}

int shim_device_count(void)
{
    return (int)number("MSPECKV_SHIM_DEVICES", 1, SHIM_DEVICES_MAX);
}

size_t shim_device_memory_bytes(void)
{
    return (size_t)number("MSPECKV_SHIM_MEMORY_MIB", 4096, 1 << 20) << 20;
}

int shim_device_current(void)
{
    return current_device;
}

static long count_call(const char *kind)
{
    for (int i = 0; i < orders.n_seen; i++)
        if (strcmp(orders.seen[i].kind, kind) == 0)
            return ++orders.seen[i].n_calls;
    if (orders.n_seen < KINDS_MAX) {
        snprintf(orders.seen[orders.n_seen].kind, sizeof orders.seen[0].kind, "%s", kind);
        orders.seen[orders.n_seen++].n_calls = 1;
    }
    return 1;
}

/* Ordered by another process, at any time. */
static bool is_taken_away(void)
{
    const char *sign = getenv("MSPECKV_SHIM_LOST");

    return sign && access(sign, F_OK) == 0;
}

bool shim_device_fault(const char *kind)
{
    const char *faults = getenv("MSPECKV_SHIM_FAULTS");
    size_t length = strlen(kind);
    long n;

    if (strcmp(kind, "launch") == 0 && is_taken_away())
        return true;
    if (!faults)
        faults = "";
    if (strcmp(faults, orders.faults) != 0) {
        memset(&orders, 0, sizeof orders);
        snprintf(orders.faults, sizeof orders.faults, "%s", faults);
    }
    n = count_call(kind);
    for (const char *word = faults; word && *word; word = strchr(word, ',')) {
        word += *word == ',';
        if (strncmp(word, kind, length) != 0)
            continue;
        if (word[length] == ':')
            return n >= strtol(word + length + 1, NULL, 10);
        if (word[length] == ',' || word[length] == '\0')
            return true;
    }
    return false;
}

/* ---- the runtime's functions about devices and errors ---- */

static const struct {
    cudaError_t error;
    const char *name, *text;
} errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorDevicesUnavailable, "cudaErrorDevicesUnavailable",
     "CUDA-capable device(s) is/are busy or unavailable"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorMapBufferObjectFailed, "cudaErrorMapBufferObjectFailed",
     "mapping of buffer object failed"},
    {cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable", "uncorrectable ECC error encountered"},
    {cudaErrorPeerAccessUnsupported, "cudaErrorPeerAccessUnsupported",
     "peer access is not supported between these two devices"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorPeerAccessAlreadyEnabled, "cudaErrorPeerAccessAlreadyEnabled",
     "peer access is already enabled"},
    {cudaErrorHostMemoryAlreadyRegistered, "cudaErrorHostMemoryAlreadyRegistered",
     "part or all of the requested memory range is already mapped"},
    {cudaErrorHostMemoryNotRegistered, "cudaErrorHostMemoryNotRegistered",
     "pointer does not correspond to a registered memory region"},
    {cudaErrorNotPermitted, "cudaErrorNotPermitted", "operation not permitted"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
};

const char *cudaGetErrorString(cudaError_t error)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].error == error)
            return errors[i].text;
    return "unrecognized error code";
}

const char *cudaGetErrorName(cudaError_t error)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].error == error)
            return errors[i].name;
    return "unrecognized error code";
}

cudaError_t cudaPeekAtLastError(void)
{
    return lost != cudaSuccess ? lost : last_error;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = cudaPeekAtLastError();

    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    cudaError_t error = cudaSuccess;

    shim_device_enter();
    *count = shim_device_count();
    if (shim_device_fault("driver"))
        error = cudaErrorInsufficientDriver;
    else if (*count == 0 || is_taken_away())
        error = cudaErrorNoDevice;
    return shim_device_leave(error);
}

cudaError_t cudaSetDevice(int device)
{
    cudaError_t error = cudaSuccess;

    shim_device_enter();
    if (device < 0 || device >= shim_device_count())
        error = cudaErrorInvalidDevice;
    else if (shim_device_fault("busy"))
        error = cudaErrorDevicesUnavailable;
    else
        current_device = device;
    return shim_device_leave(error);
}

cudaError_t cudaGetDevice(int *device)
{
    *device = current_device;
    return cudaSuccess;
}

cudaError_t cudaSetDeviceFlags(unsigned int flags)
{
    (void)flags;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
    if (device < 0 || device >= shim_device_count())
        return cudaErrorInvalidDevice;
    memset(prop, 0, sizeof *prop);
    snprintf(prop->name, sizeof prop->name, "host shim, kernels run on the CPU");
    memcpy(prop->uuid.bytes, "mspeckv-shim-gpu", sizeof prop->uuid.bytes);
    prop->uuid.bytes[15] = (char)('0' + device);
    prop->totalGlobalMem = shim_device_memory_bytes();
    prop->sharedMemPerBlock = 48 << 10;
    prop->sharedMemPerBlockOptin = SHIM_DEVICE_SHARED_BYTES;
    prop->sharedMemPerMultiprocessor = 228 << 10;
    prop->warpSize = 32;
    prop->maxThreadsPerBlock = 1024;
    prop->major = 9;
    prop->multiProcessorCount = 4; /* few, so that grids are small */
    prop->l2CacheSize = 1 << 20;
    prop->asyncEngineCount = 2;
    prop->pciBusID = 1 + device;
    prop->unifiedAddressing = 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device)
{
    struct cudaDeviceProp prop;
    cudaError_t error = cudaGetDeviceProperties(&prop, device);

    if (error != cudaSuccess)
        return error;
    switch (attr) {
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = (int)prop.sharedMemPerBlock;
        return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
        *value = prop.multiProcessorCount;
        return cudaSuccess;
    case cudaDevAttrL2CacheSize:
        *value = prop.l2CacheSize;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
        *value = prop.major;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
        *value = prop.minor;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = (int)prop.sharedMemPerBlockOptin;
        return cudaSuccess;
    case cudaDevAttrIpcEventSupport:
        *value = 1;
        return cudaSuccess;
    }
    return cudaErrorInvalidValue;
}

cudaError_t cudaDeviceGetPCIBusId(char *pci_bus_id, int len, int device)
{
    if (device < 0 || device >= shim_device_count())
        return cudaErrorInvalidDevice;
    snprintf(pci_bus_id, (size_t)len, "0000:%02X:00.0", 1 + device);
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = shim_device_fault("driver") ? 12000 : CUDART_VERSION;
    if (shim_device_fault("nodriver"))
        *version = 0; /* as the runtime says it */
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer)
{
    int n = shim_device_count();

    if (device < 0 || device >= n || peer < 0 || peer >= n || device == peer)
        return cudaErrorInvalidDevice;
    *can = !shim_device_fault("peer");
    return cudaSuccess;
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned int flags)
{
    static bool enabled[SHIM_DEVICES_MAX][SHIM_DEVICES_MAX];
    cudaError_t error = cudaSuccess;

    shim_device_enter();
    if (flags != 0 || peer < 0 || peer >= shim_device_count() || peer == current_device)
        error = cudaErrorInvalidDevice;
    else if (shim_device_fault("peer"))
        error = cudaErrorPeerAccessUnsupported;
    else if (enabled[current_device][peer])
        error = cudaErrorPeerAccessAlreadyEnabled;
    else
        enabled[current_device][peer] = true;
    return shim_device_leave(error);
}
