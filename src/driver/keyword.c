/* See keyword.h. */
#include "keyword.h"

#include "adapter.h"

NDIS_HANDLE keywords_open(struct adapter *adapter)
{
    NDIS_CONFIGURATION_OBJECT object = {
        .Header = {.Type = NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT,
                   .Revision = NDIS_CONFIGURATION_OBJECT_REVISION_1,
                   .Size = NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1},
        .NdisHandle = adapter->miniport,
    };
    NDIS_HANDLE configuration;
    return NdisOpenConfigurationEx(&object, &configuration) == NDIS_STATUS_SUCCESS ? configuration : NULL;
}

uint32_t keyword_read(NDIS_HANDLE configuration, const WCHAR *keyword, uint32_t lowest, uint32_t highest,
                      uint32_t otherwise)
{
    NDIS_CONFIGURATION_PARAMETER *parameter = NULL;
    NDIS_STATUS status;
    NDIS_STRING name;
    USHORT length = 0;
    while (keyword[length])
        length++;
    name.Buffer = (WCHAR *)keyword;
    name.Length = (USHORT)(length * sizeof(WCHAR));
    name.MaximumLength = (USHORT)(name.Length + sizeof(WCHAR));
    NdisReadConfiguration(&status, &parameter, configuration, &name, NdisParameterInteger);
    if (status != NDIS_STATUS_SUCCESS || !parameter || parameter->ParameterData.IntegerData < lowest ||
        parameter->ParameterData.IntegerData > highest)
        return otherwise;
    return parameter->ParameterData.IntegerData;
}
