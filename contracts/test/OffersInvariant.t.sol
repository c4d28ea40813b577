// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Devices} from "../src/Devices.sol";
import {Offers} from "../src/Offers.sol";
import {Reading} from "../src/Records.sol";
import {OffersBase} from "./OffersBase.sol";

/// Random but valid trade, with a plain model of who is owed what beside it. Homes get other meters between, and have one
/// on their panels.
contract Bazaar is OffersBase {
    uint256 private constant PANEL = 0x5041;

    /// Since when which key signs for a member's home.
    uint256[][3] private _keys;
    uint256[][3] private _since;
    uint256 private _lastKey = 0x9000;
    /// Wh for which sellers were paid, and which their homes' meters counted.
    uint256 public paidWh;
    uint256 public shownWh;

    Offers.Offer[] private _open;
    Offers.Offer[] private _sold;
    uint32[] private _buyers;
    Offers.Offer[] private _closed;
    /// Base units to the members from an offer that is closed and not fetched.
    mapping(uint64 nonce => uint256[3]) private _owed;
    /// What the meter of a member counted in a slot, fixed by the first look at it.
    mapping(uint32 member => mapping(uint64 slot => uint64)) private _counted;
    mapping(uint32 member => mapping(uint64 slot => uint64)) private _paid;
    /// Payments of sold offers and what is owed from closed ones.
    uint256 public escrow;
    uint64 private _nonce;

    constructor() {
        setUp();
        for (uint32 i = 0; i < 3; ++i) {
            _keys[i].push(meterKey(i));
            _since[i].push(0);
            _addMeter(i, vm.addr(PANEL + i));
            vm.prank(operator);
            community.registerDevice(address(uint160(0xDE0 + i)), i, Devices.Kind.Generator, false, vm.addr(PANEL + i));
        }
    }

    /// The home's meter is taken out, and another one takes its place.
    function replaceMeter(uint32 member) external {
        member %= 3;
        uint256 last = _keys[member].length - 1;
        if (_since[member][last] == block.timestamp) return;
        vm.prank(operator);
        community.revokeMeter(vm.addr(_keys[member][last]));
        _addMeter(member, vm.addr(++_lastKey));
        _keys[member].push(_lastKey);
        _since[member].push(block.timestamp);
    }

    /// A reading of the panels, or of a meter that did not measure the home when the slot began, pays nobody.
    function cheat(uint256 index, uint16 counted) external {
        if (_sold.length == 0) return;
        Offers.Offer memory o = _sold[index % _sold.length];
        uint256 end = o.slot + SLOT_SECONDS;
        if (block.timestamp < end) vm.warp(end);
        _expectRefused(o, PANEL + o.seller, counted);
        for (uint256 i = 0; i < _keys[o.seller].length; ++i) {
            if (_keys[o.seller][i] != _keyAt(o.seller, o.slot)) _expectRefused(o, _keys[o.seller][i], counted);
        }
    }

    function _expectRefused(Offers.Offer memory o, uint256 key, uint16 counted) private {
        Reading memory r = Reading(vm.addr(key), o.slot, 0, uint64(counted) + 1, ++_nonce);
        bytes memory proof = signature(key, digestOf(r));
        vm.prank(account(o.seller));
        try offers.release(o, r, proof) {
            vm.assertTrue(false);
        } catch {}
    }

    function _keyAt(uint32 member, uint64 slot) private view returns (uint256) {
        uint256 place = _keys[member].length - 1;
        while (_since[member][place] > slot) --place;
        return _keys[member][place];
    }

    function _addMeter(uint32 member, address meter) private {
        vm.prank(operator);
        community.registerMeter(member, meter);
        vm.prank(account(member));
        community.acceptMeter(meter);
    }

    function offerSomething(uint32 seller, uint16 wh, uint64 price, uint8 later) external {
        uint64 slot = (uint64(block.timestamp) / SLOT_SECONDS + 1 + later % 3) * SLOT_SECONDS;
        _open.push(post(Offers.Offer(seller % 3, slot, uint64(wh) + 1, price, _nonce++)));
    }

    function cancel(uint256 index) external {
        if (_open.length == 0) return;
        Offers.Offer memory o = _take(_open, index);
        vm.prank(account(o.seller));
        offers.cancel(o);
    }

    function buySomething(uint256 index, uint32 buyer) external {
        if (_open.length == 0) return;
        buyer %= 3;
        Offers.Offer memory o = _take(_open, index);
        if (block.timestamp >= o.slot) return;
        uint256 payment = offers.paymentOf(o.wh, o.price);
        mint(account(buyer), payment);
        vm.prank(account(buyer));
        token.approve(address(offers), payment);
        vm.prank(account(buyer));
        offers.buy(o, type(uint64).max);
        _sold.push(o);
        _buyers.push(buyer);
        escrow += payment;
    }

    /// @param counted Wh that the meter counted, if nobody looked before
    function releaseSomething(uint256 index, uint16 counted) external {
        if (_sold.length == 0) return;
        index %= _sold.length;
        uint32 buyer = _buyers[index];
        _buyers[index] = _buyers[_buyers.length - 1];
        _buyers.pop();
        Offers.Offer memory o = _take(_sold, index);
        uint256 end = o.slot + SLOT_SECONDS;
        if (block.timestamp < end) vm.warp(end);
        uint256 payment = offers.paymentOf(o.wh, o.price);
        uint256 paid = 0;
        if (block.timestamp > end + PATIENCE) offers.refund(o);
        else paid = _release(o, counted);
        _owed[o.nonce][o.seller] += paid;
        _owed[o.nonce][buyer] += payment - paid;
        _closed.push(o);
    }

    function _release(Offers.Offer memory o, uint16 counted) private returns (uint256) {
        if (_counted[o.seller][o.slot] == 0) {
            _counted[o.seller][o.slot] = counted;
            shownWh += counted;
        }
        uint64 whOut = _counted[o.seller][o.slot];
        uint256 key = _keyAt(o.seller, o.slot);
        Reading memory r = Reading(vm.addr(key), o.slot, 0, whOut, ++_nonce);
        release(o, r, signature(key, digestOf(r)));
        (,, uint64 credited,,) = offers.sales(offers.idOf(o));
        paidWh += credited;
        uint64 left = whOut > _paid[o.seller][o.slot] ? whOut - _paid[o.seller][o.slot] : 0;
        uint64 delivered = left < o.wh ? left : o.wh;
        _paid[o.seller][o.slot] += delivered;
        return offers.paymentOf(delivered, o.price);
    }

    function fetchSomething(uint256 index, uint32 member) external {
        if (_closed.length == 0) return;
        member %= 3;
        Offers.Offer memory o = _closed[index % _closed.length];
        uint256 owed = _owed[o.nonce][member];
        vm.assertEq(fetch(member, o), owed);
        escrow -= owed;
        _owed[o.nonce][member] = 0;
    }

    function wait(uint32 seconds_) external {
        vm.warp(block.timestamp + seconds_ % (2 * PATIENCE));
    }

    function check() external view {
        vm.assertEq(token.balanceOf(address(offers)), escrow);
        vm.assertTrue(paidWh <= shownWh);
    }

    function _take(Offers.Offer[] storage list, uint256 index) private returns (Offers.Offer memory taken) {
        index %= list.length;
        taken = list[index];
        list[index] = list[list.length - 1];
        list.pop();
    }
}

contract OffersInvariantTest {
    Bazaar private bazaar;

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function setUp() public {
        bazaar = new Bazaar();
    }

    /// Only the actions of `Bazaar` are called, and none of them may revert.
    function targetContracts() public view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(bazaar);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory list) {
        list = new FuzzSelector[](1);
        bytes4[] memory selectors = new bytes4[](8);
        selectors[0] = Bazaar.offerSomething.selector;
        selectors[1] = Bazaar.cancel.selector;
        selectors[2] = Bazaar.buySomething.selector;
        selectors[3] = Bazaar.releaseSomething.selector;
        selectors[4] = Bazaar.fetchSomething.selector;
        selectors[5] = Bazaar.wait.selector;
        selectors[6] = Bazaar.replaceMeter.selector;
        selectors[7] = Bazaar.cheat.selector;
        list[0] = FuzzSelector(address(bazaar), selectors);
    }

    /// What the contract holds is what it owes: the payments of sold offers and the members' credits. Nobody is paid for
    /// what no reading of its home shows.
    function invariant_what_is_held_is_what_is_owed() public view {
        bazaar.check();
    }
}
