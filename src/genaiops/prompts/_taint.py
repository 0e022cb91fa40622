"""Which printed expressions of a template a user decides, and the same template with those printed between marks.

Names are followed through `set`, `for`, `with`, macros, namespaces and calls that change a list or mapping. In doubt
an expression counts as the user's: then its text cannot open a message, which is the safe side.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import IntEnum

from jinja2 import nodes

GUARD_FILTER = "genaiops_text"
MIXED_FILTER = "genaiops_mixed_text"
ROLE_FILTER = "genaiops_role"

# These keep marks where they are, so what passes through them needs no more.
_TRANSPARENT = frozenset({"trim", "safe", "string", "indent"})
_ROLE_SHAPES = frozenset({"lower", "upper", "trim", "strip", "string", "capitalize", "title", "default", "d"})
_NEIGHBOURS = frozenset({"previtem", "nextitem"})


class Level(IntEnum):
    """Who decides a text."""

    TEMPLATE = 0
    MARKED = 1
    """Template and user, with the user's parts already between marks (a macro's result, a `set` block)."""
    USER = 2
    MIXED = 3
    """Made from marked text: marks may have been cut off."""


Scope = Mapping[str, Level]


def guard_template(tree: nodes.Template, names: Collection[str]) -> nodes.Template:
    """The parsed template, changed in place: what `names` decide is printed between marks."""
    walk = _Walk(tree)
    scope = dict.fromkeys(names, Level.USER)
    while walk.grew:
        walk.grew = False
        walk.statements(tree.body, scope)
    walk.rewrite = True
    walk.statements(tree.body, scope)
    return tree


class _Walk:
    """One pass over a template after another until no name's level grows, then one that rewrites."""

    def __init__(self, tree: nodes.Template) -> None:
        self.macros = {macro.name for macro in tree.find_all(nodes.Macro)} | {"caller", "loop", "super", "self"}
        self.assigned: dict[str, Level] = {}
        self.grew = True
        self.rewrite = False

    def statements(self, body: list[nodes.Node], scope: Scope) -> bool:
        """Walk statements; whether any prints what a user decides."""
        marked = False
        for node in body:  # each of them, whatever the first one prints
            marked |= self.statement(node, scope)
        return marked

    def statement(self, node: nodes.Node, scope: Scope) -> bool:
        match node:
            case nodes.Output():
                return self._output(node, scope)
            case nodes.For():
                return self._for(node, scope)
            case nodes.Macro():
                self.statements(node.body, {**scope, **_names(node.args, Level.USER), **_EXTRA_ARGUMENTS})
                return False
            case nodes.CallBlock():
                self.level(node.call, scope)
                self.statements(node.body, {**scope, **_names(node.args, Level.USER)})
                return True
            case nodes.With():
                inner = dict(scope)
                for target, value in zip(node.targets, node.values, strict=True):
                    inner |= _names([target], self.level(value, inner))
                return self.statements(node.body, inner)
            case nodes.Assign():
                self._assign(node.target, self.level(node.node, scope))
                return False
            case nodes.AssignBlock():
                marked = self.statements(node.body, scope)
                kept = node.filter is None or node.filter.name in _TRANSPARENT
                self._assign(node.target, (Level.MARKED if kept else Level.MIXED) if marked else Level.TEMPLATE)
                return False
            case nodes.FilterBlock():
                marked = self.statements(node.body, scope)
                if self.rewrite and marked and node.filter.name not in _TRANSPARENT:
                    node.filter = _filtered(node.filter, MIXED_FILTER)
                return marked
            case nodes.If():
                self.level(node.test, scope)
                return self.statements([*node.body, *node.elif_, *node.else_], scope)
            case nodes.ExprStmt():
                self.level(node.node, scope)
                return False
            case _:
                return self.statements(list(getattr(node, "body", ())), scope)

    def _output(self, node: nodes.Output, scope: Scope) -> bool:
        printed: list[nodes.Expr] = []
        levels = [self.level(expression, scope) for expression in node.nodes]
        for expression, level in zip(node.nodes, levels, strict=True):
            printed.append(_marked(expression, level) if self.rewrite else expression)
        node.nodes = printed
        return any(levels)

    def _for(self, node: nodes.For, scope: Scope) -> bool:
        level = _combined(self.level(node.iter, scope))
        if node.recursive:
            level = Level.USER  # `loop(…)` may be given anything
        inner = {**scope, **_names([node.target], level)}
        if node.test is not None:
            self.level(node.test, inner)
        return any([self.statements(node.body, inner), self.statements(node.else_, scope)])

    def _assign(self, target: nodes.Node, level: Level) -> None:
        for name in _names([target], level):
            if level > self.assigned.get(name, Level.TEMPLATE):
                self.assigned[name] = level
                self.grew = True

    def level(self, node: nodes.Node | None, scope: Scope) -> Level:
        """Who decides the value of an expression."""
        match node:
            case None | nodes.Const() | nodes.TemplateData():
                return Level.TEMPLATE
            case nodes.Name():
                known = scope.get(node.name, Level.TEMPLATE)
                return max(known, self.assigned.get(node.name, Level.TEMPLATE))
            case nodes.Call():
                return self._call(node, scope)
            case nodes.Getattr(node=nodes.Name(name="loop")):
                return Level.USER if node.attr in _NEIGHBOURS else Level.TEMPLATE
            case nodes.Filter() if node.name in _TRANSPARENT:
                return max(self.level(node.node, scope), self._children(node.args, scope))
            case nodes.CondExpr():
                self.level(node.test, scope)
                return max(self.level(node.expr1, scope), self.level(node.expr2, scope))
            case nodes.Compare() | nodes.Not() | nodes.Test():
                self._children(list(node.iter_child_nodes()), scope)
                return Level.TEMPLATE  # true or false, whoever is asked
            case nodes.Getitem():
                self.level(node.arg, scope)
                return _combined(self.level(node.node, scope))
            case _:
                return self._children(list(node.iter_child_nodes()), scope)

    def _call(self, node: nodes.Call, scope: Scope) -> Level:
        arguments = self._children([child for child in node.iter_child_nodes() if child is not node.node], scope)
        root = _root(node.node)
        if root in self.macros:
            return Level.MARKED  # its body prints its arguments between marks
        if arguments and root is not None and isinstance(node.node, nodes.Getattr):
            # `items.append(question)`: from here on the name holds what a user decides.
            self._assign(nodes.Name(root, "store"), Level.USER)
        return max(arguments, _combined(self.level(node.node, scope)))

    def _children(self, children: Iterable[nodes.Node], scope: Scope) -> Level:
        return max((_combined(self.level(child, scope)) for child in children), default=Level.TEMPLATE)


_EXTRA_ARGUMENTS = {"varargs": Level.USER, "kwargs": Level.USER}


def _combined(level: Level) -> Level:
    return Level.MIXED if level is Level.MARKED else level


def _marked(expression: nodes.Expr, level: Level) -> nodes.Expr:
    if level < Level.USER:
        return expression
    if level is Level.MIXED:
        return _filtered(expression, MIXED_FILTER)
    return _filtered(expression, ROLE_FILTER if _is_role(expression) else GUARD_FILTER)


def _filtered(expression: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(expression, name, [], [], None, None, lineno=expression.lineno)


def _is_role(node: nodes.Node | None) -> bool:
    """Whether an expression reads a field, or a variable, called `role`."""
    match node:
        case nodes.Name(name="role") | nodes.Getattr(attr="role") | nodes.Getitem(arg=nodes.Const(value="role")):
            return True
        case nodes.Filter():
            return node.name in _ROLE_SHAPES and _is_role(node.node)
        case nodes.Call(node=nodes.Getattr(attr="get"), args=[nodes.Const(value="role"), *_]):
            return True
        case nodes.Call(node=nodes.Getattr() as method, args=[]):
            return method.attr in _ROLE_SHAPES and _is_role(method.node)
        case _:
            return False


def _names(targets: Sequence[nodes.Node], level: Level) -> dict[str, Level]:
    found: dict[str, Level] = {}
    for target in targets:
        if isinstance(target, nodes.Name | nodes.NSRef):
            found[target.name] = level
        found |= {name.name: level for name in target.find_all(nodes.Name)}
        found |= {name.name: level for name in target.find_all(nodes.NSRef)}
    return found


def _root(node: nodes.Node) -> str | None:
    while isinstance(node, nodes.Getattr | nodes.Getitem | nodes.Filter) and node.node is not None:
        node = node.node
    return node.name if isinstance(node, nodes.Name) else None
