using System.Globalization;
using BlockLayer.KillHost;
using BlockLayer.Simulation;

namespace BlockLayer.Interop.Tests.Kill;

/// <summary>What the guests of a killed process reported through its pipe, as the promises that the disk has to keep.</summary>
internal sealed class GuestReport
{
    private readonly SectorOracle _oracle;
    private readonly Dictionary<string, OracleWrite> _writes = [];
    private readonly Dictionary<string, long> _flushes = [];

    internal GuestReport(byte[] content, IEnumerable<string> lines)
    {
        _oracle = new SectorOracle(content.Length, content);
        foreach (string line in lines)
        {
            Add(line.Split(' '));
        }
    }

    /// <summary>Writes that were acknowledged.</summary>
    internal int Writes { get; private set; }

    /// <summary>Flushes that were acknowledged.</summary>
    internal int Flushes { get; private set; }

    /// <summary>Checks that each sector holds its last flushed value or one written since.</summary>
    internal void Check(byte[] disk) => _oracle.Check(disk);

    private void Add(string[] words)
    {
        switch (words)
        {
            case ["write", var number, var offset, var length]:
                _writes[number] = _oracle.BeginWrite(Number(offset), GuestStamp.Create(Number(offset), (int)Number(length), Number(number)));
                break;
            case ["zero", var number, var offset, var length]:
                _writes[number] = _oracle.BeginWriteZeroes(Number(offset), Number(length));
                break;
            case ["done", var number]:
                _oracle.Complete(_writes[number]);
                Writes++;
                break;
            case ["flush", var number]:
                _flushes[number] = _oracle.BeginFlush();
                break;
            case ["flushed", var number]:
                _oracle.CompleteFlush(_flushes[number]);
                Flushes++;
                break;
            case [Report.Stopped] or [GuestRun.Told] or [SwitchRecord.Line]:
                break;
            default:
                throw new FormatException($"\"{string.Join(' ', words)}\" is no line of a guest.");
        }
    }

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);
}
