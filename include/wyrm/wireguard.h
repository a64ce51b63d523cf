/** @file
 * @brief The programming interface of wyrm.dll.
 *
 * Plain C11 or C++11 for any compiler of Windows programs.  The twelve functions, types and constants named
 * WireGuard and WIREGUARD_ are those of the reference implementation's DLL, with the same meaning, binary
 * layout and error codes: a program written for it runs unchanged.  What is named Wyrm or WYRM_ is ours (see
 * wyrm_extensions in this file's groups).
 *
 * Use: link with the import library, or load wyrm.dll with
 * `LoadLibraryExW(L"wyrm.dll", NULL, LOAD_LIBRARY_SEARCH_APPLICATION_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32)` and
 * take each function with GetProcAddress into a variable of its pointer type (`WIREGUARD_CREATE_ADAPTER_FUNC
 * *` and so on).
 *
 * All functions may be called from any thread.  A function that fails returns FALSE, NULL or 0 and sets the
 * thread's last error; it also gives the logger (#WireGuardSetLogger) a line that says what was wrong and
 * what to do.  All texts are UTF-16.  Callers must be SYSTEM or elevated members of Administrators unless a
 * function says otherwise. */
#ifndef WYRM_WIREGUARD_H
#define WYRM_WIREGUARD_H

#include <winsock2.h>
/* In this order: windows.h would bring the older winsock.h. */
#include <windows.h>
/* These need the types of windows.h, the second those of the first. */
#include <ifdef.h>

#include <ws2ipdef.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define WYRM_ABI_ASSERT(condition) static_assert(condition, #condition)
#define WYRM_ABI_ALIGN             alignas(8)
extern "C" {
#else
#define WYRM_ABI_ASSERT(condition) _Static_assert(condition, #condition)
#define WYRM_ABI_ALIGN             _Alignas(8)
#endif

/* The prototypes are for programs that link with the import library; define WYRM_NO_PROTOTYPES to have the
 * pointer types alone. */
#ifndef WYRM_IMPORT
#define WYRM_IMPORT __declspec(dllimport)
#endif

/** @defgroup adapters Adapters
 * @{ */

/** One adapter as this process sees it: made by #WireGuardCreateAdapter or #WireGuardOpenAdapter, ended by
 * #WireGuardCloseAdapter.  May be used by several threads at once, but not while it is being closed. */
typedef struct _WIREGUARD_ADAPTER *WIREGUARD_ADAPTER_HANDLE;

/** Longest name of an adapter and of a tunnel type, in UTF-16 units with the final zero. */
#define WIREGUARD_MAX_ADAPTER_NAME 128

/** Creates an adapter, installing the driver first when the machine has none or an older one.
 *
 * Repairs what is in the way: an adapter of the same GUID that a process left behind, and phantom device
 * nodes, are removed first, so that calling it again after a crash is always right.  If an equal or newer
 * driver is installed it is kept and used; if an older one is in use by other adapters, they are stopped, the
 * driver is replaced, and their configuration and state are restored.
 *
 * The call is bounded: at most 60 s for another process that is creating or removing an adapter, 15 s for the
 * device to start; on the way the logger is told what is being waited for, and a device that cannot start is
 * reported at once.
 *
 * @param Name          the connection's name, at most 127 units.  If another connection has it, that one is
 * renamed.
 * @param TunnelType    the kind of tunnel as it appears in the device's description ("TYPE Tunnel"), at most
 * 127 units.
 * @param RequestedGUID the adapter's NetCfgInstanceId and GUID, which decides whether Windows knows the
 * network again; NULL: a random one.
 * @return a handle that owns the adapter: closing it, or the end of the process, removes the adapter.  NULL
 * on failure.
 *
 * | GetLastError                  | Cause |
 * |-------------------------------|-------|
 * | ERROR_INVALID_PARAMETER       | a NULL or empty name or type |
 * | ERROR_BUFFER_OVERFLOW         | the name or the type is too long |
 * | ERROR_ACCESS_DENIED           | the caller is not SYSTEM or an elevated administrator |
 * | ERROR_ALREADY_EXISTS          | a living process owns an adapter with this GUID |
 * | ERROR_FILE_NOT_FOUND          | no driver is installed and the DLL carries none |
 * | ERROR_DEVICE_NOT_AVAILABLE    | the device did not start in time and reports no problem |
 * | ERROR_NOT_SUPPORTED           | Windows is too old, or the process runs emulated on another processor |
 * | ERROR_GEN_FAILURE             | the lock could not be made |
 * | WAIT_TIMEOUT                  | another process holds the lock |
 * | others                        | of SetupAPI, the configuration manager or the driver, as Win32 codes | */
typedef WIREGUARD_ADAPTER_HANDLE(WINAPI WIREGUARD_CREATE_ADAPTER_FUNC)(LPCWSTR Name, LPCWSTR TunnelType,
                                                                       const GUID *RequestedGUID);

/** Opens an adapter that exists, whoever created it.
 *
 * @param Name the connection's name; upper and lower case are the same.
 * @return a handle that does not own the adapter: closing it leaves the adapter alone.  NULL on failure.
 *
 * | GetLastError            | Cause |
 * |-------------------------|-------|
 * | ERROR_INVALID_PARAMETER | a NULL or empty name |
 * | ERROR_BUFFER_OVERFLOW   | the name is too long |
 * | ERROR_NOT_FOUND         | no present adapter of ours has this name |
 * | WAIT_TIMEOUT            | it did not start within 15 s, or another process holds the lock for 60 s | */
typedef WIREGUARD_ADAPTER_HANDLE(WINAPI WIREGUARD_OPEN_ADAPTER_FUNC)(LPCWSTR Name);

/** Closes a handle; removes the adapter when the handle came from #WireGuardCreateAdapter.  Ends its logging
 * first: no line of this adapter reaches the logger after the return.
 *
 * @param Adapter the handle; NULL: nothing happens. */
typedef VOID(WINAPI WIREGUARD_CLOSE_ADAPTER_FUNC)(WIREGUARD_ADAPTER_HANDLE Adapter);

/** Tells the adapter's LUID, which IP Helper functions take.  Cannot fail.
 *
 * @param Adapter the handle
 * @param Luid    receives the LUID */
typedef VOID(WINAPI WIREGUARD_GET_ADAPTER_LUID_FUNC)(WIREGUARD_ADAPTER_HANDLE Adapter, NET_LUID *Luid);

/** Whether an adapter carries traffic. */
typedef enum {
    WIREGUARD_ADAPTER_STATE_DOWN, /**< keeps its configuration; its socket is closed */
    WIREGUARD_ADAPTER_STATE_UP,   /**< listens and carries traffic */
} WIREGUARD_ADAPTER_STATE;

/** Brings an adapter up or down.  The state it already has is a success.
 *
 * @param Adapter the handle
 * @param State   the state wanted
 * @return FALSE on failure
 *
 * | GetLastError            | Cause |
 * |-------------------------|-------|
 * | ERROR_INVALID_PARAMETER | State is neither of the two |
 * | ERROR_DUP_NAME          | another program has the listen port |
 * | ERROR_ACCESS_DENIED     | the caller is not SYSTEM or an elevated administrator |
 * | ERROR_TOO_MANY_OPEN_FILES | the adapter is being removed | */
typedef BOOL(WINAPI WIREGUARD_SET_ADAPTER_STATE_FUNC)(WIREGUARD_ADAPTER_HANDLE Adapter,
                                                      WIREGUARD_ADAPTER_STATE State);

/** Tells whether an adapter is up.
 *
 * @param Adapter the handle
 * @param State   receives the state
 * @return FALSE on failure; errors as #WireGuardSetAdapterState */
typedef BOOL(WINAPI WIREGUARD_GET_ADAPTER_STATE_FUNC)(WIREGUARD_ADAPTER_HANDLE Adapter,
                                                      WIREGUARD_ADAPTER_STATE *State);

/** @}
 * @defgroup configuration Configuration
 * A configuration is one buffer: a WIREGUARD_INTERFACE, then for each peer a WIREGUARD_PEER with its
 * WIREGUARD_ALLOWED_IP structures behind it, aligned to 8 bytes, without gaps.  Read it with
 * #wyrm_read_begin, write it with #wyrm_write_begin.
 * @{ */

/** Bytes of each key. */
#define WIREGUARD_KEY_LENGTH 32

/** Flags of one prefix. */
typedef enum {
    WIREGUARD_ALLOWED_IP_REMOVE = 1 << 0, /**< set: take this prefix away from the peer */
} WIREGUARD_ALLOWED_IP_FLAG;

/** One prefix of a peer's allowed IPs. */
typedef struct _WIREGUARD_ALLOWED_IP {
    WYRM_ABI_ALIGN union {
        IN_ADDR V4;  /**< when AddressFamily is AF_INET */
        IN6_ADDR V6; /**< when AddressFamily is AF_INET6 */
    } Address;
    ADDRESS_FAMILY AddressFamily; /**< AF_INET or AF_INET6 */
    BYTE Cidr;                    /**< length of the prefix: 0 to 32 or 0 to 128 */
    DWORD Flags;                  /**< WIREGUARD_ALLOWED_IP_FLAG; always write it */
} WIREGUARD_ALLOWED_IP;

/** Flags of one peer: which fields count, and what to do with it. */
typedef enum {
    WIREGUARD_PEER_HAS_PUBLIC_KEY = 1 << 0,           /**< needed to set */
    WIREGUARD_PEER_HAS_PRESHARED_KEY = 1 << 1,        /**< PresharedKey counts */
    WIREGUARD_PEER_HAS_PERSISTENT_KEEPALIVE = 1 << 2, /**< PersistentKeepalive counts */
    WIREGUARD_PEER_HAS_ENDPOINT = 1 << 3,             /**< Endpoint counts */
    WIREGUARD_PEER_REPLACE_ALLOWED_IPS = 1 << 5,      /**< set: remove its prefixes first */
    WIREGUARD_PEER_REMOVE = 1 << 6,                   /**< set: remove the peer */
    WIREGUARD_PEER_UPDATE = 1 << 7,                   /**< set: do not create the peer if it is not there */
} WIREGUARD_PEER_FLAG;

/** One peer; its AllowedIPsCount prefixes follow it. */
typedef struct _WIREGUARD_PEER {
    WYRM_ABI_ALIGN DWORD Flags;              /**< WIREGUARD_PEER_FLAG */
    DWORD Reserved;                          /**< must be 0 to set */
    BYTE PublicKey[WIREGUARD_KEY_LENGTH];    /**< the peer's public key */
    BYTE PresharedKey[WIREGUARD_KEY_LENGTH]; /**< all zero: none */
    WORD PersistentKeepalive;                /**< seconds; 0: off */
    SOCKADDR_INET Endpoint;                  /**< where the peer is, as the socket functions write it */
    DWORD64 TxBytes;                         /**< get: bytes sent to it */
    DWORD64 RxBytes;                         /**< get: bytes received from it */
    DWORD64 LastHandshake;                   /**< get: 100 ns since 1601-01-01 UTC; 0: never */
    DWORD AllowedIPsCount;                   /**< number of WIREGUARD_ALLOWED_IP behind this structure */
} WIREGUARD_PEER;

/** Flags of the interface: which fields count, and what to do first. */
typedef enum {
    WIREGUARD_INTERFACE_HAS_PUBLIC_KEY = 1 << 0,  /**< get: PublicKey counts */
    WIREGUARD_INTERFACE_HAS_PRIVATE_KEY = 1 << 1, /**< PrivateKey counts */
    WIREGUARD_INTERFACE_HAS_LISTEN_PORT = 1 << 2, /**< ListenPort counts */
    WIREGUARD_INTERFACE_REPLACE_PEERS = 1 << 3,   /**< set: remove all peers first */
} WIREGUARD_INTERFACE_FLAG;

/** The interface; its PeersCount peers follow it. */
typedef struct _WIREGUARD_INTERFACE {
    WYRM_ABI_ALIGN DWORD Flags;            /**< WIREGUARD_INTERFACE_FLAG */
    WORD ListenPort;                       /**< UDP port, host byte order; 0 to set: any */
    BYTE PrivateKey[WIREGUARD_KEY_LENGTH]; /**< all zero to set: none */
    BYTE PublicKey[WIREGUARD_KEY_LENGTH];  /**< get: belongs to the private key */
    DWORD PeersCount;                      /**< number of WIREGUARD_PEER behind this structure */
} WIREGUARD_INTERFACE;

/** Sets an adapter's configuration, or changes it: fields without flag stay as they are.  Applied in order;
 * what stands before a failure stays applied (#WyrmSetConfigurationAtomically takes it back).
 *
 * @param Adapter the handle
 * @param Config  the configuration
 * @param Bytes   its length
 * @return FALSE on failure
 *
 * | GetLastError            | Cause |
 * |-------------------------|-------|
 * | ERROR_INVALID_PARAMETER | NULL, too short, or wrong: see #WyrmCheckConfiguration |
 * | ERROR_INVALID_FUNCTION  | Reserved of a peer asks for an unknown version of the protocol |
 * | ERROR_DUP_NAME          | another program has the listen port |
 * | ERROR_TOO_MANY_NAMES    | too many peers |
 * | ERROR_NO_SYSTEM_RESOURCES | no memory in the driver |
 * | ERROR_ACCESS_DENIED     | the caller is not SYSTEM or an elevated administrator |
 * | ERROR_TOO_MANY_OPEN_FILES | the adapter is being removed | */
typedef BOOL(WINAPI WIREGUARD_SET_CONFIGURATION_FUNC)(WIREGUARD_ADAPTER_HANDLE Adapter,
                                                      const WIREGUARD_INTERFACE *Config, DWORD Bytes);

/** Reads an adapter's configuration with its counters.  The private key is part of it.
 *
 * @param Adapter the handle
 * @param Config  receives the configuration, aligned to 8 bytes; may be NULL when *Bytes is 0
 * @param Bytes   the buffer's length; receives the length of the configuration
 * @return FALSE on failure
 *
 * | GetLastError            | Cause |
 * |-------------------------|-------|
 * | ERROR_MORE_DATA         | the buffer is too small; *Bytes is the length needed now: repeat with it |
 * | ERROR_INVALID_PARAMETER | Bytes is NULL, or Config is NULL with a length |
 * | ERROR_ACCESS_DENIED     | the caller is not SYSTEM or an elevated administrator |
 * | ERROR_TOO_MANY_OPEN_FILES | the adapter is being removed | */
typedef BOOL(WINAPI WIREGUARD_GET_CONFIGURATION_FUNC)(WIREGUARD_ADAPTER_HANDLE Adapter,
                                                      WIREGUARD_INTERFACE *Config, DWORD *Bytes);

/** @}
 * @defgroup driver Driver
 * @{ */

/** Tells the version of the driver that is loaded.  Any user may call it.
 *
 * @return the major version in the high and the minor in the low word; 0 on failure
 *
 * | GetLastError              | Cause |
 * |---------------------------|-------|
 * | ERROR_FILE_NOT_FOUND      | the driver is not loaded |
 * | ERROR_VERSION_PARSE_ERROR | the driver's file says version 0.0 | */
typedef DWORD(WINAPI WIREGUARD_GET_RUNNING_DRIVER_VERSION_FUNC)(VOID);

/** Removes what processes that died left behind, then the driver with its packages from the driver store. Not
 * forced: fails while an adapter exists.
 *
 * @return FALSE on failure: the error of the first package that could not be removed */
typedef BOOL(WINAPI WIREGUARD_DELETE_DRIVER_FUNC)(VOID);

/** @}
 * @defgroup logging Logging
 * @{ */

/** How serious a line of the log is. */
typedef enum {
    WIREGUARD_LOG_INFO, /**< for information */
    WIREGUARD_LOG_WARN, /**< something is not as it should be, but work goes on */
    WIREGUARD_LOG_ERR,  /**< a function failed, or the adapter cannot work */
} WIREGUARD_LOGGER_LEVEL;

/** Receives lines of the log, on any thread, several at once.  Must not call #WireGuardCloseAdapter or
 * #WireGuardSetAdapterLogging.
 *
 * @param Level     how serious it is
 * @param Timestamp when it happened: 100 ns since 1601-01-01 UTC
 * @param Message   one line without line end; valid during the call */
typedef VOID(CALLBACK *WIREGUARD_LOGGER_CALLBACK)(WIREGUARD_LOGGER_LEVEL Level, DWORD64 Timestamp,
                                                  LPCWSTR Message);

/** Sets the process's logger.  May be called by any user on any thread, also while lines are being written;
 * the old callback may still be running on other threads when it returns.
 *
 * @param NewLogger the callback; NULL: lines are dropped again */
typedef VOID(WINAPI WIREGUARD_SET_LOGGER_FUNC)(WIREGUARD_LOGGER_CALLBACK NewLogger);

/** Whether the driver's lines of an adapter reach the process's logger. */
typedef enum {
    WIREGUARD_ADAPTER_LOG_OFF,            /**< they do not */
    WIREGUARD_ADAPTER_LOG_ON,             /**< they do */
    WIREGUARD_ADAPTER_LOG_ON_WITH_PREFIX, /**< they do, each behind "INDEX: ", the interface's index */
} WIREGUARD_ADAPTER_LOG_STATE;

/** Starts or ends following an adapter's log.  Following survives a restart of the device and an upgrade of
 * the driver; when it has ended by itself because the adapter is gone, ON starts it again.
 *
 * @param Adapter  the handle
 * @param LogState what is wanted
 * @return FALSE on failure
 *
 * | GetLastError            | Cause |
 * |-------------------------|-------|
 * | ERROR_INVALID_PARAMETER | LogState is none of the three |
 * | others                  | of CreateThread | */
typedef BOOL(WINAPI WIREGUARD_SET_ADAPTER_LOGGING_FUNC)(WIREGUARD_ADAPTER_HANDLE Adapter,
                                                        WIREGUARD_ADAPTER_LOG_STATE LogState);

/** @}
 * @defgroup wyrm_extensions Extensions
 * What the reference's DLL has not.  GetProcAddress tells whether a DLL has them.
 * @{ */

/** What #WyrmEnumerateAdapters tells of one adapter. */
typedef struct _WYRM_ADAPTER_INFORMATION {
    DWORD Size;                             /**< bytes of this structure, which may grow at its end */
    DWORD ProblemCode;                      /**< CM_PROB_*, 0: none */
    BOOL Started;                           /**< its driver runs */
    BOOL Present;                           /**< FALSE: a phantom, left behind */
    NET_LUID Luid;                          /**< 0 when it never started */
    GUID Guid;                              /**< as requested when it was created */
    WCHAR Name[WIREGUARD_MAX_ADAPTER_NAME]; /**< the connection's name */
    WCHAR Type[WIREGUARD_MAX_ADAPTER_NAME]; /**< the device's description, "TYPE Tunnel" */
} WYRM_ADAPTER_INFORMATION;

/** Called for each adapter.
 *
 * @param Information valid during the call
 * @param Context     as given
 * @return FALSE: no more */
typedef BOOL(CALLBACK *WYRM_ENUMERATE_CALLBACK)(const WYRM_ADAPTER_INFORMATION *Information, void *Context);

/** Tells all adapters of ours on this machine, those of other processes and phantoms too.  Any user may call
 * it.
 *
 * @param Callback called for each, on this thread
 * @param Context  given to it
 * @return FALSE on failure: ERROR_INVALID_PARAMETER for a NULL callback, or an error of SetupAPI */
typedef BOOL(WINAPI WYRM_ENUMERATE_ADAPTERS_FUNC)(WYRM_ENUMERATE_CALLBACK Callback, void *Context);

/** As #WireGuardSetConfiguration, but all or nothing: the driver copies and checks the whole buffer and
 * reserves the memory for it before it touches anything, under the lock that other writers wait for.
 *
 * @param Adapter the handle
 * @param Config  the configuration
 * @param Bytes   its length
 * @return FALSE on failure, and nothing has changed; errors as #WireGuardSetConfiguration, and
 * ERROR_NOT_SUPPORTED when the running driver is too old */
typedef BOOL(WINAPI WYRM_SET_CONFIGURATION_ATOMICALLY_FUNC)(WIREGUARD_ADAPTER_HANDLE Adapter,
                                                            const WIREGUARD_INTERFACE *Config, DWORD Bytes);

/** Why packets of an adapter were dropped, and how many; for programs and for people. */
typedef struct _WYRM_DROP_COUNTER {
    CHAR Name[56]; /**< the reason, ASCII */
    DWORD64 Value; /**< packets since the adapter was created */
} WYRM_DROP_COUNTER;

/** Reads an adapter's drop counters.
 *
 * @param Adapter  the handle
 * @param Counters receives them; may be NULL when *Count is 0
 * @param Count    number of elements of Counters; receives how many there are
 * @return FALSE on failure
 *
 * | GetLastError            | Cause |
 * |-------------------------|-------|
 * | ERROR_MORE_DATA         | Counters is too small; *Count is what is needed |
 * | ERROR_INVALID_PARAMETER | Count is NULL, or Counters is NULL with a count |
 * | ERROR_NOT_SUPPORTED     | the running driver is too old to tell | */
typedef BOOL(WINAPI WYRM_GET_DROP_COUNTERS_FUNC)(WIREGUARD_ADAPTER_HANDLE Adapter,
                                                 WYRM_DROP_COUNTER *Counters, DWORD *Count);

/** What happened; the other fields that each kind fills, the rest are 0. */
typedef enum {
    WYRM_EVENT_KIND_HANDSHAKE = 1, /**< a session with the peer is confirmed.  Value: 1 this side began, 2 the
                                        peer; PublicKey, Endpoint */
    WYRM_EVENT_KIND_ENDPOINT = 2,  /**< the peer was heard from another address.  PublicKey, Endpoint */
    WYRM_EVENT_KIND_EXPIRED = 3, /**< there is no session with the peer any more.  Value: 1 it did not answer
                                      for 90 s, 2 nothing was sent for long; PublicKey, Endpoint */
    WYRM_EVENT_KIND_ADAPTER_STATE = 4, /**< the adapter went up or down.  Value: #WIREGUARD_ADAPTER_STATE */
    WYRM_EVENT_KIND_LOG_LOST = 5, /**< lines of the log begin to be lost.  Value: 1 nobody reads them fast
                                       enough, 2 too many of frequent kinds */
} WYRM_EVENT_KIND;

/** An event of an adapter. */
typedef struct _WYRM_EVENT {
    WYRM_ABI_ALIGN DWORD64 Sequence;      /**< from 1, without gaps, since the adapter was created */
    DWORD64 Timestamp;                    /**< 100 ns since 1601-01-01 UTC */
    DWORD Kind;                           /**< #WYRM_EVENT_KIND; newer drivers may have more */
    DWORD Value;                          /**< as the kind says */
    BYTE PublicKey[WIREGUARD_KEY_LENGTH]; /**< the peer */
    SOCKADDR_INET Endpoint;               /**< the peer's address; family 0: not known */
    BYTE Padding[4];                      /**< 0 */
} WYRM_EVENT;

/** A reader of events. */
typedef struct _WYRM_EVENTS *WYRM_EVENTS_HANDLE;

/** As #WYRM_OPEN_EVENTS_FUNC's After: nothing of before. */
#define WYRM_EVENTS_AFTER_NOW 0xFFFFFFFFFFFFFFFFull

/** Begins to read an adapter's events.  There may be any number of readers; each gets every event.
 *
 * @param Adapter the handle; it may be closed before the reader
 * @param After   the Sequence of the last event that is known; 0: all that the driver still has (128); or
 *                #WYRM_EVENTS_AFTER_NOW
 * @return the reader, for #WyrmCloseEvents; NULL on failure
 *
 * | GetLastError            | Cause |
 * |-------------------------|-------|
 * | ERROR_INVALID_PARAMETER | After is an event that has not happened yet |
 * | ERROR_NOT_SUPPORTED     | the running driver is too old to tell |
 * | ERROR_ACCESS_DENIED     | not SYSTEM and no elevated administrator |
 * | others                  | of CreateFile | */
typedef WYRM_EVENTS_HANDLE(WINAPI WYRM_OPEN_EVENTS_FUNC)(WIREGUARD_ADAPTER_HANDLE Adapter, DWORD64 After);

/** Waits for events and takes them, the oldest first.  One thread at a time reads; others wait their turn.
 *
 * @param Events       the reader
 * @param Buffer       receives them
 * @param Count        elements of Buffer, at least 1; receives how many came, 0 on failure
 * @param Lost         receives how many events came too fast to be kept and are missing before those; may be
 *                     NULL
 * @param Milliseconds how long to wait for the first; INFINITE: until there is one
 * @return FALSE when there is none
 *
 * | GetLastError            | Cause |
 * |-------------------------|-------|
 * | WAIT_TIMEOUT            | nothing happened |
 * | ERROR_OPERATION_ABORTED | the reader is being closed, or the adapter goes: close it |
 * | ERROR_INVALID_PARAMETER | no buffer, no count or a count of 0 |
 * | others                  | the adapter is gone, or its driver was replaced: close it and open anew | */
typedef BOOL(WINAPI WYRM_READ_EVENTS_FUNC)(WYRM_EVENTS_HANDLE Events, WYRM_EVENT *Buffer, DWORD *Count,
                                           DWORD64 *Lost, DWORD Milliseconds);

/** Ends reading: who waits in #WyrmReadEvents comes back with ERROR_OPERATION_ABORTED.  Nobody may begin to
 * read afterwards.
 *
 * @param Events the reader; NULL: nothing */
typedef VOID(WINAPI WYRM_CLOSE_EVENTS_FUNC)(WYRM_EVENTS_HANDLE Events);

/** Checks a configuration buffer without an adapter: counts against the length, flags, families and prefixes.
 *
 * @param Config the buffer
 * @param Bytes  its length
 * @return FALSE with ERROR_INVALID_PARAMETER when WireGuardSetConfiguration would refuse it */
typedef BOOL(WINAPI WYRM_CHECK_CONFIGURATION_FUNC)(const WIREGUARD_INTERFACE *Config, DWORD Bytes);

/** @} */

#ifndef WYRM_NO_PROTOTYPES
/** @ingroup adapters
 * @copydoc WIREGUARD_CREATE_ADAPTER_FUNC */
WYRM_IMPORT WIREGUARD_ADAPTER_HANDLE WINAPI WireGuardCreateAdapter(LPCWSTR Name, LPCWSTR TunnelType,
                                                                   const GUID *RequestedGUID);
/** @ingroup adapters
 * @copydoc WIREGUARD_OPEN_ADAPTER_FUNC */
WYRM_IMPORT WIREGUARD_ADAPTER_HANDLE WINAPI WireGuardOpenAdapter(LPCWSTR Name);
/** @ingroup adapters
 * @copydoc WIREGUARD_CLOSE_ADAPTER_FUNC */
WYRM_IMPORT VOID WINAPI WireGuardCloseAdapter(WIREGUARD_ADAPTER_HANDLE Adapter);
/** @ingroup adapters
 * @copydoc WIREGUARD_GET_ADAPTER_LUID_FUNC */
WYRM_IMPORT VOID WINAPI WireGuardGetAdapterLUID(WIREGUARD_ADAPTER_HANDLE Adapter, NET_LUID *Luid);
/** @ingroup adapters
 * @copydoc WIREGUARD_SET_ADAPTER_STATE_FUNC */
WYRM_IMPORT BOOL WINAPI WireGuardSetAdapterState(WIREGUARD_ADAPTER_HANDLE Adapter,
                                                 WIREGUARD_ADAPTER_STATE State);
/** @ingroup adapters
 * @copydoc WIREGUARD_GET_ADAPTER_STATE_FUNC */
WYRM_IMPORT BOOL WINAPI WireGuardGetAdapterState(WIREGUARD_ADAPTER_HANDLE Adapter,
                                                 WIREGUARD_ADAPTER_STATE *State);
/** @ingroup configuration
 * @copydoc WIREGUARD_SET_CONFIGURATION_FUNC */
WYRM_IMPORT BOOL WINAPI WireGuardSetConfiguration(WIREGUARD_ADAPTER_HANDLE Adapter,
                                                  const WIREGUARD_INTERFACE *Config, DWORD Bytes);
/** @ingroup configuration
 * @copydoc WIREGUARD_GET_CONFIGURATION_FUNC */
WYRM_IMPORT BOOL WINAPI WireGuardGetConfiguration(WIREGUARD_ADAPTER_HANDLE Adapter,
                                                  WIREGUARD_INTERFACE *Config, DWORD *Bytes);
/** @ingroup driver
 * @copydoc WIREGUARD_GET_RUNNING_DRIVER_VERSION_FUNC */
WYRM_IMPORT DWORD WINAPI WireGuardGetRunningDriverVersion(VOID);
/** @ingroup driver
 * @copydoc WIREGUARD_DELETE_DRIVER_FUNC */
WYRM_IMPORT BOOL WINAPI WireGuardDeleteDriver(VOID);
/** @ingroup logging
 * @copydoc WIREGUARD_SET_LOGGER_FUNC */
WYRM_IMPORT VOID WINAPI WireGuardSetLogger(WIREGUARD_LOGGER_CALLBACK NewLogger);
/** @ingroup logging
 * @copydoc WIREGUARD_SET_ADAPTER_LOGGING_FUNC */
WYRM_IMPORT BOOL WINAPI WireGuardSetAdapterLogging(WIREGUARD_ADAPTER_HANDLE Adapter,
                                                   WIREGUARD_ADAPTER_LOG_STATE LogState);
/** @ingroup wyrm_extensions
 * @copydoc WYRM_ENUMERATE_ADAPTERS_FUNC */
WYRM_IMPORT BOOL WINAPI WyrmEnumerateAdapters(WYRM_ENUMERATE_CALLBACK Callback, void *Context);
/** @ingroup wyrm_extensions
 * @copydoc WYRM_SET_CONFIGURATION_ATOMICALLY_FUNC */
WYRM_IMPORT BOOL WINAPI WyrmSetConfigurationAtomically(WIREGUARD_ADAPTER_HANDLE Adapter,
                                                       const WIREGUARD_INTERFACE *Config, DWORD Bytes);
/** @ingroup wyrm_extensions
 * @copydoc WYRM_GET_DROP_COUNTERS_FUNC */
WYRM_IMPORT BOOL WINAPI WyrmGetDropCounters(WIREGUARD_ADAPTER_HANDLE Adapter, WYRM_DROP_COUNTER *Counters,
                                            DWORD *Count);
/** @ingroup wyrm_extensions
 * @copydoc WYRM_OPEN_EVENTS_FUNC */
WYRM_IMPORT WYRM_EVENTS_HANDLE WINAPI WyrmOpenEvents(WIREGUARD_ADAPTER_HANDLE Adapter, DWORD64 After);
/** @ingroup wyrm_extensions
 * @copydoc WYRM_READ_EVENTS_FUNC */
WYRM_IMPORT BOOL WINAPI WyrmReadEvents(WYRM_EVENTS_HANDLE Events, WYRM_EVENT *Buffer, DWORD *Count,
                                       DWORD64 *Lost, DWORD Milliseconds);
/** @ingroup wyrm_extensions
 * @copydoc WYRM_CLOSE_EVENTS_FUNC */
WYRM_IMPORT VOID WINAPI WyrmCloseEvents(WYRM_EVENTS_HANDLE Events);
/** @ingroup wyrm_extensions
 * @copydoc WYRM_CHECK_CONFIGURATION_FUNC */
WYRM_IMPORT BOOL WINAPI WyrmCheckConfiguration(const WIREGUARD_INTERFACE *Config, DWORD Bytes);
#endif

#ifdef __cplusplus
}
#endif

#include "wyrm/wireguard_iterate.h"

/* ---- the layout is the interface: the same bytes for 32- and 64-bit programs ---- */
WYRM_ABI_ASSERT(sizeof(WIREGUARD_INTERFACE) == 80);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_INTERFACE, Flags) == 0);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_INTERFACE, ListenPort) == 4);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_INTERFACE, PrivateKey) == 6);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_INTERFACE, PublicKey) == 38);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_INTERFACE, PeersCount) == 72);

WYRM_ABI_ASSERT(sizeof(SOCKADDR_INET) == 28);
WYRM_ABI_ASSERT(sizeof(WIREGUARD_PEER) == 136);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_PEER, Flags) == 0);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_PEER, Reserved) == 4);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_PEER, PublicKey) == 8);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_PEER, PresharedKey) == 40);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_PEER, PersistentKeepalive) == 72);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_PEER, Endpoint) == 76);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_PEER, TxBytes) == 104);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_PEER, RxBytes) == 112);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_PEER, LastHandshake) == 120);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_PEER, AllowedIPsCount) == 128);

WYRM_ABI_ASSERT(sizeof(WIREGUARD_ALLOWED_IP) == 24);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_ALLOWED_IP, Address) == 0);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_ALLOWED_IP, AddressFamily) == 16);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_ALLOWED_IP, Cidr) == 18);
WYRM_ABI_ASSERT(offsetof(WIREGUARD_ALLOWED_IP, Flags) == 20);

/* Fields whose size no offset shows. */
WYRM_ABI_ASSERT(sizeof(((WIREGUARD_INTERFACE *)0)->ListenPort) == 2);
WYRM_ABI_ASSERT(sizeof(((WIREGUARD_INTERFACE *)0)->PeersCount) == 4);
WYRM_ABI_ASSERT(sizeof(((WIREGUARD_PEER *)0)->PersistentKeepalive) == 2);
WYRM_ABI_ASSERT(sizeof(((WIREGUARD_PEER *)0)->AllowedIPsCount) == 4);
WYRM_ABI_ASSERT(sizeof(((WIREGUARD_ALLOWED_IP *)0)->Flags) == 4);

WYRM_ABI_ASSERT(sizeof(WYRM_DROP_COUNTER) == 64);
WYRM_ABI_ASSERT(sizeof(WYRM_EVENT) == 88);
WYRM_ABI_ASSERT(offsetof(WYRM_EVENT, PublicKey) == 24);
WYRM_ABI_ASSERT(offsetof(WYRM_EVENT, Endpoint) == 56);
WYRM_ABI_ASSERT(sizeof(WYRM_ADAPTER_INFORMATION) == 16 + 8 + 16 + 512);
WYRM_ABI_ASSERT(offsetof(WYRM_ADAPTER_INFORMATION, Luid) == 16);

#endif
