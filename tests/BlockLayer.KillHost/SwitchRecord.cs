namespace BlockLayer.KillHost;

/// <summary>The record of a program which image its disk is: a line to the parent, who survives.</summary>
internal sealed class SwitchRecord(KillStage stage, Report report)
{
    /// <summary>The line that says that the disk is the target from now on.</summary>
    internal const string Line = "switched";

    private volatile bool _isMade;

    /// <summary>True once the target is the disk.</summary>
    internal bool IsMade => _isMade;

    internal ValueTask MakeAsync()
    {
        stage.On(KillPoint.BeforeSwitch);
        report.Send(Line);
        _isMade = true;
        stage.On(KillPoint.AfterSwitch);
        return ValueTask.CompletedTask;
    }
}
