/* The adapter's configuration (its registry keys on Windows).  The host keeps none: each standardized keyword
 * has the default that Microsoft documents for it ("Standardized INF Keywords"), everything else is not
 * found.  Integers are replaced and added by ndis_keyword_set() (the option --keyword), and by the
 * environment variable NTHOST_NDIS_KEYWORDS ("*LsoV2IPv4=0,*RSS=1"). */
#include "ndis.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEYWORD_BYTES (NDIS_KEYWORD_MAX + 1u)
#define SETTINGS_MAX  64u

static const struct {
    const char *keyword;
    uint32_t value;
} defaults[] = {
    {"*FlowControl", 3},
    {"*InterruptModeration", 1},
    {"*IPChecksumOffloadIPv4", 3},
    {"*JumboPacket", 1514},
    {"*LsoV1IPv4", 1},
    {"*LsoV2IPv4", 1},
    {"*LsoV2IPv6", 1},
    {"*PriorityVLANTag", 3},
    {"*RSS", 1},
    {"*RscIPv4", 1},
    {"*RscIPv6", 1},
    {"*TCPChecksumOffloadIPv4", 3},
    {"*TCPChecksumOffloadIPv6", 3},
    {"*UDPChecksumOffloadIPv4", 3},
    {"*UDPChecksumOffloadIPv6", 3},
    {"*UsoIPv4", 1},
    {"*UsoIPv6", 1},
    {"*UdpRsc", 1},
};

struct configuration {
    uint64_t magic;
    NDIS_CONFIGURATION_PARAMETER parameter; /* of the last read */
};
#define CONFIGURATION_MAGIC 0x6769666e6f63646eull

NDIS_STATUS NTAPI NdisOpenConfigurationEx(PNDIS_CONFIGURATION_OBJECT ConfigObject,
                                          PNDIS_HANDLE ConfigurationHandle)
{
    struct configuration *configuration;

    *ConfigurationHandle = NULL;
    if (ConfigObject->Header.Type != NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT ||
        ConfigObject->Header.Size < NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1)
        return NDIS_STATUS_INVALID_PARAMETER;
    configuration = calloc(1, sizeof *configuration);
    if (!configuration)
        return NDIS_STATUS_RESOURCES;
    configuration->magic = CONFIGURATION_MAGIC;
    host_count_add(HOST_HANDLE, 1);
    *ConfigurationHandle = configuration;
    return NDIS_STATUS_SUCCESS;
}

static const char *settings[SETTINGS_MAX];
static unsigned setting_count;

bool ndis_keyword_set(const char *setting)
{
    const char *equals = strchr(setting, '=');

    if (!equals || equals == setting || equals - setting > NDIS_KEYWORD_MAX || setting_count == SETTINGS_MAX)
        return false;
    settings[setting_count++] = setting;
    return true;
}

void ndis_keyword_clear(void)
{
    setting_count = 0;
}

static bool is_setting(const char *text, const char *keyword, uint32_t *value)
{
    size_t length = strlen(keyword);

    if (strncasecmp(text, keyword, length) != 0 || text[length] != '=')
        return false;
    *value = (uint32_t)strtoul(text + length + 1, NULL, 0);
    return true;
}

static bool from_settings(const char *keyword, uint32_t *value)
{
    for (unsigned i = setting_count; i-- > 0;)
        if (is_setting(settings[i], keyword, value))
            return true;
    return false;
}

static bool from_environment(const char *keyword, uint32_t *value)
{
    const char *list = getenv("NTHOST_NDIS_KEYWORDS");

    while (list && *list) {
        if (is_setting(list, keyword, value))
            return true;
        list = strchr(list, ',');
        if (list)
            list++;
    }
    return false;
}

VOID NTAPI NdisReadConfiguration(PNDIS_STATUS Status, PNDIS_CONFIGURATION_PARAMETER *ParameterValue,
                                 NDIS_HANDLE ConfigurationHandle, PNDIS_STRING Keyword,
                                 NDIS_PARAMETER_TYPE ParameterType)
{
    struct configuration *configuration = ConfigurationHandle;
    char keyword[KEYWORD_BYTES];
    unsigned length = Keyword->Length / 2u;
    uint32_t value = 0;
    bool found = false;

    *ParameterValue = NULL;
    *Status = NDIS_STATUS_FAILURE;
    if (length >= sizeof keyword)
        return;
    for (unsigned i = 0; i < length; i++)
        keyword[i] = (char)(Keyword->Buffer[i] < 128 ? Keyword->Buffer[i] : '?');
    keyword[length] = 0;
    found = from_settings(keyword, &value) || from_environment(keyword, &value);
    for (unsigned i = 0; !found && i < sizeof defaults / sizeof *defaults; i++)
        if (strcasecmp(defaults[i].keyword, keyword) == 0) {
            value = defaults[i].value;
            found = true;
        }
    if (!found || (ParameterType != NdisParameterInteger && ParameterType != NdisParameterHexInteger))
        return;
    configuration->parameter.ParameterType = ParameterType;
    configuration->parameter.ParameterData.IntegerData = value;
    *ParameterValue = &configuration->parameter;
    *Status = NDIS_STATUS_SUCCESS;
}

/* No network address is configured: the driver uses its own. */
VOID NTAPI NdisReadNetworkAddress(PNDIS_STATUS Status, PVOID *NetworkAddress, PUINT NetworkAddressLength,
                                  NDIS_HANDLE ConfigurationHandle)
{
    *NetworkAddress = NULL;
    *NetworkAddressLength = 0;
    *Status = NDIS_STATUS_FAILURE;
}

VOID NTAPI NdisCloseConfiguration(NDIS_HANDLE ConfigurationHandle)
{
    struct configuration *configuration = ConfigurationHandle;

    if (!configuration || configuration->magic != CONFIGURATION_MAGIC) {
        if (host_options.verify)
            verify_report(RULE_NDIS_STATE, "NdisCloseConfiguration: %p is not open", ConfigurationHandle);
        return;
    }
    configuration->magic = 0;
    host_count_add(HOST_HANDLE, -1);
    free(configuration);
}
