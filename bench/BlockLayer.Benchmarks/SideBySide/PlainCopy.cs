using Microsoft.Win32.SafeHandles;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>Two threads that read and write in turn, and nothing else: as fast as a copy between two files is on this machine.</summary>
internal static class PlainCopy
{
    private const int Threads = 2;
    private const int BlockSize = 512 * 1024; // what a job copies in one step

    /// <summary>Seconds that a copy into a new file takes.</summary>
    internal static double Time(string source, string target)
    {
        File.Delete(target);
        using SafeFileHandle from = File.OpenHandle(source);
        using SafeFileHandle to = File.OpenHandle(target, FileMode.CreateNew, FileAccess.ReadWrite);
        long length = RandomAccess.GetLength(from);
        long next = 0;
        return Measure.Time(() =>
        {
            var threads = new Thread[Threads];
            for (int i = 0; i < Threads; i++)
            {
                threads[i] = new Thread(Copy);
                threads[i].Start();
            }

            foreach (Thread thread in threads)
            {
                thread.Join();
            }
        });

        void Copy()
        {
            byte[] buffer = new byte[BlockSize];
            while (Interlocked.Add(ref next, BlockSize) - BlockSize is var at && at < length)
            {
                int read = RandomAccess.Read(from, buffer, at);
                RandomAccess.Write(to, buffer.AsSpan(0, read), at);
            }
        }
    }
}
