// Makes an adapter, configures it, brings it up and reads its configuration back.  Run it as an elevated administrator with
// wyrm.dll beside it.  .NET 6 or later, C# 10, <AllowUnsafeBlocks>true</AllowUnsafeBlocks>.  Names are those of
// include/wyrm/wireguard.h, whose documentation holds here too.
using System;
using System.ComponentModel;
using System.Net;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

internal static unsafe class Wyrm
{
    public const int WIREGUARD_KEY_LENGTH = 32;
    public const int WIREGUARD_ADAPTER_STATE_UP = 1;
    public const uint WIREGUARD_INTERFACE_HAS_PRIVATE_KEY = 1 << 1;
    public const uint WIREGUARD_INTERFACE_HAS_LISTEN_PORT = 1 << 2;
    public const uint WIREGUARD_INTERFACE_REPLACE_PEERS = 1 << 3;
    public const uint WIREGUARD_PEER_HAS_PUBLIC_KEY = 1 << 0;
    public const uint WIREGUARD_PEER_HAS_PERSISTENT_KEEPALIVE = 1 << 2;
    public const uint WIREGUARD_PEER_HAS_ENDPOINT = 1 << 3;
    public const uint WIREGUARD_PEER_REPLACE_ALLOWED_IPS = 1 << 5;
    public const ushort AF_INET = 2;

    [StructLayout(LayoutKind.Explicit, Size = 80)]
    public struct WIREGUARD_INTERFACE
    {
        [FieldOffset(0)] public uint Flags;
        [FieldOffset(4)] public ushort ListenPort;
        [FieldOffset(6)] public fixed byte PrivateKey[32];
        [FieldOffset(38)] public fixed byte PublicKey[32];
        [FieldOffset(72)] public uint PeersCount;
    }

    [StructLayout(LayoutKind.Explicit, Size = 28)]
    public struct SOCKADDR_INET
    {
        [FieldOffset(0)] public ushort si_family;
        [FieldOffset(2)] public ushort Port;              // network byte order
        [FieldOffset(4)] public fixed byte Ipv4Address[4];
    }

    [StructLayout(LayoutKind.Explicit, Size = 136)]
    public struct WIREGUARD_PEER
    {
        [FieldOffset(0)] public uint Flags;
        [FieldOffset(4)] public uint Reserved;
        [FieldOffset(8)] public fixed byte PublicKey[32];
        [FieldOffset(40)] public fixed byte PresharedKey[32];
        [FieldOffset(72)] public ushort PersistentKeepalive;
        [FieldOffset(76)] public SOCKADDR_INET Endpoint;
        [FieldOffset(104)] public ulong TxBytes;
        [FieldOffset(112)] public ulong RxBytes;
        [FieldOffset(120)] public ulong LastHandshake;
        [FieldOffset(128)] public uint AllowedIPsCount;
    }

    [StructLayout(LayoutKind.Explicit, Size = 24)]
    public struct WIREGUARD_ALLOWED_IP
    {
        [FieldOffset(0)] public fixed byte Address[16];
        [FieldOffset(16)] public ushort AddressFamily;
        [FieldOffset(18)] public byte Cidr;
        [FieldOffset(20)] public uint Flags;
    }

    // Closes itself; the adapter goes with it.
    public sealed class Adapter : SafeHandleZeroOrMinusOneIsInvalid
    {
        public Adapter() : base(true) { }
        protected override bool ReleaseHandle()
        {
            WireGuardCloseAdapter(handle);
            return true;
        }
    }

    private const string Dll = "wyrm.dll";

    [DllImport(Dll, CharSet = CharSet.Unicode, SetLastError = true, ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.ApplicationDirectory | DllImportSearchPath.System32)]
    public static extern Adapter WireGuardCreateAdapter(string name, string tunnelType, Guid* requestedGuid);

    [DllImport(Dll, ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.ApplicationDirectory | DllImportSearchPath.System32)]
    private static extern void WireGuardCloseAdapter(IntPtr adapter);

    [DllImport(Dll, SetLastError = true, ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.ApplicationDirectory | DllImportSearchPath.System32)]
    public static extern bool WireGuardSetAdapterState(Adapter adapter, int state);

    [DllImport(Dll, SetLastError = true, ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.ApplicationDirectory | DllImportSearchPath.System32)]
    public static extern bool WireGuardSetConfiguration(Adapter adapter, void* config, uint bytes);

    [DllImport(Dll, SetLastError = true, ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.ApplicationDirectory | DllImportSearchPath.System32)]
    public static extern bool WireGuardGetConfiguration(Adapter adapter, void* config, ref uint bytes);
}

internal static unsafe class Sample
{
    private const int BufferBytes = 65536;
    private const ushort ListenPort = 51820;

    private static void Check(bool success)
    {
        if (!success)
            throw new Win32Exception(Marshal.GetLastWin32Error());
    }

    // An interface with a key of its own and one peer, all in one buffer without gaps; returns the length.
    private static uint WriteConfiguration(byte* buffer)
    {
        var config = (Wyrm.WIREGUARD_INTERFACE*)buffer;
        var peer = (Wyrm.WIREGUARD_PEER*)(config + 1);
        var allowed = (Wyrm.WIREGUARD_ALLOWED_IP*)(peer + 1);

        config->Flags = Wyrm.WIREGUARD_INTERFACE_HAS_PRIVATE_KEY | Wyrm.WIREGUARD_INTERFACE_HAS_LISTEN_PORT |
                        Wyrm.WIREGUARD_INTERFACE_REPLACE_PEERS;
        config->ListenPort = ListenPort;
        config->PeersCount = 1;
        RandomNumberGenerator.Fill(new Span<byte>(config->PrivateKey, Wyrm.WIREGUARD_KEY_LENGTH));

        peer->Flags = Wyrm.WIREGUARD_PEER_HAS_PUBLIC_KEY | Wyrm.WIREGUARD_PEER_HAS_ENDPOINT |
                      Wyrm.WIREGUARD_PEER_HAS_PERSISTENT_KEEPALIVE | Wyrm.WIREGUARD_PEER_REPLACE_ALLOWED_IPS;
        new Span<byte>(peer->PublicKey, Wyrm.WIREGUARD_KEY_LENGTH).Fill(0x42); // the key that the peer's owner told you
        peer->PersistentKeepalive = 25;
        peer->Endpoint.si_family = Wyrm.AF_INET;
        peer->Endpoint.Port = (ushort)IPAddress.HostToNetworkOrder((short)ListenPort);
        IPAddress.Parse("192.0.2.1").TryWriteBytes(new Span<byte>(peer->Endpoint.Ipv4Address, 4), out _);
        peer->AllowedIPsCount = 1;

        allowed->AddressFamily = Wyrm.AF_INET;
        allowed->Cidr = 24;
        IPAddress.Parse("10.72.0.0").TryWriteBytes(new Span<byte>(allowed->Address, 4), out _);
        return (uint)((byte*)(allowed + 1) - buffer);
    }

    // The driver's own answer, whose counts are right; what comes from elsewhere must be checked against its length.
    private static void Show(byte* buffer)
    {
        var config = (Wyrm.WIREGUARD_INTERFACE*)buffer;
        var peer = (Wyrm.WIREGUARD_PEER*)(config + 1);

        Console.WriteLine($"port {config->ListenPort}, {config->PeersCount} peers");
        for (uint i = 0; i < config->PeersCount; i++)
        {
            var allowed = (Wyrm.WIREGUARD_ALLOWED_IP*)(peer + 1);
            Console.WriteLine($"peer {peer->PublicKey[0]:x2}...: keepalive {peer->PersistentKeepalive} s, " +
                              $"{peer->TxBytes} bytes sent, {peer->RxBytes} received");
            for (uint j = 0; j < peer->AllowedIPsCount; j++, allowed++)
                if (allowed->AddressFamily == Wyrm.AF_INET)
                    Console.WriteLine($"  allowed {new IPAddress(new ReadOnlySpan<byte>(allowed->Address, 4))}/{allowed->Cidr}");
            peer = (Wyrm.WIREGUARD_PEER*)allowed;
        }
    }

    private static void Main()
    {
        using Wyrm.Adapter adapter = Wyrm.WireGuardCreateAdapter("Sample", "Sample", null);
        Check(!adapter.IsInvalid);
        void* memory = NativeMemory.AlignedAlloc(BufferBytes, 8);
        try
        {
            NativeMemory.Clear(memory, BufferBytes);
            uint bytes = WriteConfiguration((byte*)memory);
            Check(Wyrm.WireGuardSetConfiguration(adapter, memory, bytes));
            Check(Wyrm.WireGuardSetAdapterState(adapter, Wyrm.WIREGUARD_ADAPTER_STATE_UP));
            bytes = BufferBytes;
            Check(Wyrm.WireGuardGetConfiguration(adapter, memory, ref bytes)); // ERROR_MORE_DATA: again with `bytes` bytes
            Show((byte*)memory);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(new Span<byte>(memory, BufferBytes)); // private keys
            NativeMemory.AlignedFree(memory);
        }
    }
}
