using System.Runtime.InteropServices;

namespace BlockLayer.Cli.Terminal;

/// <summary>
/// How wide the terminal behind a descriptor is. On Linux the kernel is asked. <see cref="Console"/> looks at standard input and output only, so that it cannot tell when just errors go to
/// a terminal; and before it answers, it switches the terminal's arrow keys to another code and never back. Where there is no such call, <see cref="Console"/> has to do.
/// </summary>
internal static partial class TerminalWidth
{
    private const int Usual = 80;
    private const nuint GetWindowSize = 0x5413; // TIOCGWINSZ, as x86-64 and arm64 share it (Linux uapi headers)

    /// <summary>The columns of a terminal; 80 where nobody told it, as on a serial line.</summary>
    internal static int Of(int descriptor)
    {
        int columns = !OperatingSystem.IsLinux() ? Console.WindowWidth
            : Control(descriptor, GetWindowSize, out WindowSize size) == 0 ? size.Columns
            : 0;
        return columns > 0 ? columns : Usual;
    }

    [LibraryImport("libc", EntryPoint = "ioctl")]
    private static partial int Control(int descriptor, nuint request, out WindowSize size);

    [StructLayout(LayoutKind.Sequential)]
    private struct WindowSize
    {
        internal ushort Rows;
        internal ushort Columns;
        internal ushort Width;
        internal ushort Height;
    }
}
